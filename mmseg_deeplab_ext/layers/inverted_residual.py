"""The inverted residual unit of TensorFlow's MobileNetV2."""

from __future__ import annotations

import torch.utils.checkpoint as cp
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor

from mmseg_deeplab_ext.layers.output_stride import UnitGeometry

_RELU6 = {"type": "ReLU6"}


class InvertedResidual(BaseModule):
    """Expand (1x1), depthwise 3x3, project (1x1, linear); slim's ``expanded_conv``.

    Batch norm follows every convolution, ReLU6 all but the last. The input is added where it has
    the output's shape.

    Args:
        in_channels: input channels.
        out_channels: output channels.
        expanded_channels: channels of the depthwise convolution; where they are the input's, there
            is no expansion.
        geometry: stride and dilation of the depthwise convolution.
        norm_cfg: MMCV norm config.
        with_cp: recompute the unit in the backward pass to save memory.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        expanded_channels: int,
        geometry: UnitGeometry,
        norm_cfg: dict,
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        self.with_cp = with_cp
        self.adds_input = geometry.stride == 1 and in_channels == out_channels
        self.expand = None
        if expanded_channels != in_channels:
            self.expand = ConvModule(
                in_channels, expanded_channels, 1, norm_cfg=norm_cfg, act_cfg=_RELU6
            )
        self.depthwise = conv3x3_same_module(
            expanded_channels,
            expanded_channels,
            geometry=geometry,
            groups=expanded_channels,
            norm_cfg=norm_cfg,
        )
        self.project = ConvModule(
            expanded_channels, out_channels, 1, norm_cfg=norm_cfg, act_cfg=None
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Run the unit.

        Args:
            x: [N, in_channels, H, W].

        Returns:
            The unit's output [N, out_channels, ceil(H / stride), ceil(W / stride)], and its
            depthwise convolution after batch norm and ReLU6 (the DeepLab decoder's low-level
            feature) with ``expanded_channels`` channels.
        """
        if self.with_cp and x.requires_grad:
            return cp.checkpoint(self._forward, x, use_reentrant=False)
        return self._forward(x)

    def _forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        depthwise = self.depthwise(x if self.expand is None else self.expand(x))
        projected = self.project(depthwise)
        return (x + projected if self.adds_input else projected), depthwise


def conv3x3_same_module(
    in_channels: int, out_channels: int, *, geometry: UnitGeometry, groups: int = 1, norm_cfg: dict
) -> ConvModule:
    """A 3x3 convolution with TensorFlow's native 'SAME' padding, batch norm and ReLU6.

    With stride 1 that is padding by the dilation on all sides. With stride 2 an even size is padded
    by one at the bottom or right only, which ``padding=1`` does not do: every window of an even
    image would sit one pixel further up and left. MMCV's ``Conv2dAdaptivePadding`` follows
    TensorFlow's rule.
    """
    strided = geometry.stride > 1
    return ConvModule(
        in_channels,
        out_channels,
        3,
        stride=geometry.stride,
        padding=0 if strided else geometry.dilation,
        dilation=geometry.dilation,
        groups=groups,
        conv_cfg={"type": "Conv2dAdaptivePadding"} if strided else None,
        norm_cfg=norm_cfg,
        act_cfg=_RELU6,
    )
