"""The unit of TensorFlow's Xception."""

from __future__ import annotations

from itertools import cycle
from typing import Sequence

from mmcv.cnn import ConvModule, DepthwiseSeparableConvModule, build_activation_layer
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmseg_deeplab_ext.layers.output_stride import UnitGeometry
from mmseg_deeplab_ext.layers.recomputed import recomputed

_RELU = {"type": "ReLU"}


class XceptionModule(BaseModule):
    """Three separable convolutions, the last of them strided, and a skip connection.

    Batch norm follows both halves of a convolution. With a skip the activation stands before each
    convolution, so neither the output nor the skip's input is activated. Without one it follows
    every half instead.

    Args:
        in_channels: input channels.
        widths: output channels of each convolution.
        skip: what is added: "conv", a projection of the input; "sum", the input; "none".
        geometry: stride of the unit, and dilation of its convolutions.
        norm_cfg: MMCV norm config.
        act_cfg: MMCV activation config.
        with_cp: recompute the unit in the backward pass to save memory.
    """

    def __init__(
        self,
        in_channels: int,
        widths: Sequence[int],
        *,
        skip: str,
        geometry: UnitGeometry,
        norm_cfg: dict,
        act_cfg: dict = _RELU,
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        self.with_cp = with_cp
        within = act_cfg if skip == "none" else None
        strides = (1,) * (len(widths) - 1) + (geometry.stride,)
        self.convs = nn.ModuleList(
            # Padding by the dilation is both TensorFlow's SAME at stride 1 and its fixed symmetric
            # padding at stride 2.
            DepthwiseSeparableConvModule(
                inputs,
                width,
                3,
                stride=stride,
                padding=dilation,
                dilation=dilation,
                norm_cfg=norm_cfg,
                act_cfg=within,
            )
            for inputs, width, stride, dilation in zip(
                (in_channels, *widths), widths, strides, cycle(geometry.dilations)
            )
        )
        self.activate = nn.Identity() if within else build_activation_layer(act_cfg)
        self.shortcut = None
        if skip == "sum":
            self.shortcut = nn.Identity()
        elif skip == "conv":
            self.shortcut = ConvModule(
                in_channels,
                widths[-1],
                1,
                stride=geometry.stride,
                norm_cfg=norm_cfg,
                act_cfg=None,
            )

    @recomputed
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Run the unit.

        Args:
            x: [N, in_channels, H, W].

        Returns:
            The unit's output [N, widths[-1], ceil(H / stride), ceil(W / stride)], and what enters
            its last convolution, before the activation (the DeepLab decoder's low-level feature):
            [N, widths[-2], H, W].
        """
        before, out = x, x
        for conv in self.convs:
            before, out = out, conv(self.activate(out))
        return (out if self.shortcut is None else out + self.shortcut(x)), before
