"""The layers of TensorFlow's MobileNets after the stem."""

from __future__ import annotations

from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor

from mmseg_deeplab_ext.layers.output_stride import UnitGeometry
from mmseg_deeplab_ext.layers.recomputed import recomputed
from mmseg_deeplab_ext.layers.same_padding import conv_same_module
from mmseg_deeplab_ext.layers.squeeze_excite import SqueezeExcite


class InvertedResidual(BaseModule):
    """Expand (1x1), depthwise, squeeze-excite, project (1x1, linear); slim's ``expanded_conv``.

    Batch norm follows every convolution but those of the squeeze-excite, the activation all but the
    projection. The input is added where it has the output's shape. So a unit whose nominal stride
    became a dilation adds it too, if the channels are alike.

    Args:
        in_channels: input channels.
        out_channels: output channels.
        expanded_channels: channels of the depthwise convolution; where they are the input's, there
            is no expansion.
        kernel_size: of the depthwise convolution.
        squeezed_channels: of the squeeze-excite; 0 for none.
        fused: the expansion has this kernel and geometry, and there is no depthwise convolution.
        residual: False never adds the input.
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
        squeezed_channels: int = 0,
        fused: bool = False,
        residual: bool = True,
        geometry: UnitGeometry,
        norm_cfg: dict,
        act_cfg: dict,
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        self.with_cp = with_cp
        self.adds_input = residual and geometry.stride == 1 and in_channels == out_channels
        layers = dict(norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.expand = self.depthwise = self.squeeze_excite = None
        if expanded_channels != in_channels:
            self.expand = conv_same_module(
                in_channels,
                expanded_channels,
                kernel_size if fused else 1,
                geometry=geometry if fused else UnitGeometry(1),
                **layers,
            )
        if not fused:
            self.depthwise = conv_same_module(
                expanded_channels,
                expanded_channels,
                kernel_size,
                geometry=geometry,
                groups=expanded_channels,
                **layers,
            )
        if squeezed_channels:
            self.squeeze_excite = SqueezeExcite(expanded_channels, squeezed_channels)
        self.project = ConvModule(
            expanded_channels, out_channels, 1, norm_cfg=norm_cfg, act_cfg=None
        )

    @recomputed
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Run the unit.

        Args:
            x: [N, in_channels, H, W].

        Returns:
            The unit's output [N, out_channels, ceil(H / stride), ceil(W / stride)], and what enters
            the squeeze-excite: the depthwise convolution after batch norm and activation (the
            DeepLab decoder's low-level feature), with ``expanded_channels`` channels.
        """
        wide = x if self.expand is None else self.expand(x)
        tap = wide if self.depthwise is None else self.depthwise(wide)
        out = self.project(tap if self.squeeze_excite is None else self.squeeze_excite(tap))
        return (x + out if self.adds_input else out), tap


class LastConv(ConvModule):
    """The 1x1 convolution that a MobileNet ends with, in the place of a unit."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map [N, in_channels, H, W] to the output, twice: there is nothing else to tap."""
        out = super().forward(x)
        return out, out
