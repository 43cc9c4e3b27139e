"""The inverted residual unit of TensorFlow's MobileNets."""

from __future__ import annotations

from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor

from mmseg_deeplab_ext.layers.output_stride import UnitGeometry
from mmseg_deeplab_ext.layers.recomputed import recomputed
from mmseg_deeplab_ext.layers.same_padding import conv_same_module


class InvertedResidual(BaseModule):
    """Expand (1x1), depthwise, project (1x1, linear); slim's ``expanded_conv``.

    Batch norm follows every convolution, the activation all but the last. The input is added where
    it has the output's shape.

    Args:
        in_channels: input channels.
        out_channels: output channels.
        expanded_channels: channels of the depthwise convolution; where they are the input's, there
            is no expansion.
        kernel_size: of the depthwise convolution.
        geometry: stride and dilation of the depthwise convolution.
        norm_cfg: MMCV norm config.
        act_cfg: MMCV activation config.
        with_cp: recompute the unit in the backward pass to save memory.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        expanded_channels: int,
        kernel_size: int = 3,
        geometry: UnitGeometry,
        norm_cfg: dict,
        act_cfg: dict,
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        self.with_cp = with_cp
        self.adds_input = geometry.stride == 1 and in_channels == out_channels
        layers = dict(norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.expand = None
        if expanded_channels != in_channels:
            self.expand = ConvModule(in_channels, expanded_channels, 1, **layers)
        self.depthwise = conv_same_module(
            expanded_channels,
            expanded_channels,
            kernel_size,
            geometry=geometry,
            groups=expanded_channels,
            **layers,
        )
        self.project = ConvModule(
            expanded_channels, out_channels, 1, norm_cfg=norm_cfg, act_cfg=None
        )

    @recomputed
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Run the unit.

        Args:
            x: [N, in_channels, H, W].

        Returns:
            The unit's output [N, out_channels, ceil(H / stride), ceil(W / stride)], and its
            depthwise convolution after batch norm and activation (the DeepLab decoder's low-level
            feature) with ``expanded_channels`` channels.
        """
        depthwise = self.depthwise(x if self.expand is None else self.expand(x))
        projected = self.project(depthwise)
        return (x + projected if self.adds_input else projected), depthwise
