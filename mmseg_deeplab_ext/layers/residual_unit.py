"""The residual unit of TensorFlow's ResNet v1."""

from __future__ import annotations

from typing import Iterator, Sequence

from mmcv.cnn import build_activation_layer, build_conv_layer, build_norm_layer
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmseg_deeplab_ext.layers.output_stride import UnitGeometry
from mmseg_deeplab_ext.layers.recomputed import recomputed
from mmseg_deeplab_ext.layers.subsample import Subsample

_RELU = {"type": "ReLU"}


class ResidualUnit(BaseModule):
    """Post-activation residual unit with its stride on the last 3x3 convolution.

    Covers both official kinds: ``bottleneck`` (1x1, 3x3, 1x1) and ``lite_bottleneck`` (3x3, 3x3).
    Every convolution is followed by batch norm, all but the last also by the activation. A
    projection on the shortcut exists only where the channels change, which never coincides with a
    stride; the shortcut of a strided unit is plain subsampling (slim's 1x1 max pool).

    Args:
        in_channels: input channels.
        width: output channels of all convolutions but the last.
        out_channels: output channels.
        kernel_sizes: kernel of each convolution.
        geometry: stride and dilation of the unit.
        norm_cfg: MMCV norm config.
        act_cfg: MMCV activation config.
        with_cp: recompute the unit in the backward pass to save memory.
    """

    def __init__(
        self,
        in_channels: int,
        width: int,
        out_channels: int,
        *,
        kernel_sizes: Sequence[int],
        geometry: UnitGeometry,
        norm_cfg: dict,
        act_cfg: dict = _RELU,
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        self.num_convs = len(kernel_sizes)
        self.with_cp = with_cp
        last_3x3 = max(i for i, kernel in enumerate(kernel_sizes) if kernel == 3)
        channels = in_channels
        for i, kernel in enumerate(kernel_sizes):
            planes = out_channels if i == self.num_convs - 1 else width
            # Padding by the dilation is both TensorFlow's SAME at stride 1 and the fixed
            # symmetric padding of slim's conv2d_same at stride 2.
            dilation = geometry.dilation if kernel == 3 else 1
            conv = build_conv_layer(
                None,
                channels,
                planes,
                kernel,
                stride=geometry.stride if i == last_3x3 else 1,
                padding=dilation * (kernel // 2),
                dilation=dilation,
                bias=False,
            )
            self.add_module(f"conv{i + 1}", conv)
            self.add_module(f"bn{i + 1}", build_norm_layer(norm_cfg, planes)[1])
            channels = planes
        self.relu = build_activation_layer(act_cfg)
        self.subsample = Subsample(geometry.stride)
        self.downsample = None
        if in_channels != out_channels:
            self.downsample = nn.Sequential(
                build_conv_layer(None, in_channels, out_channels, 1, bias=False),
                build_norm_layer(norm_cfg, out_channels)[1],
            )

    def _convs(self) -> Iterator[tuple[nn.Module, nn.Module]]:
        """The convolutions of the residual branch, each with its batch norm."""
        for i in range(1, self.num_convs + 1):
            yield getattr(self, f"conv{i}"), getattr(self, f"bn{i}")

    @recomputed
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Run the unit.

        Args:
            x: [N, in_channels, H, W].

        Returns:
            The unit's output, and its residual branch before the addition and the activation (the
            DeepLab decoder's low-level feature); both [N, out_channels, ceil(H / stride),
            ceil(W / stride)].
        """
        if self.downsample is None:
            shortcut = self.subsample(x)
        else:
            shortcut = self.downsample(x)
        residual = x
        for number, (conv, norm) in enumerate(self._convs(), start=1):
            residual = norm(conv(residual))
            if number < self.num_convs:
                residual = self.relu(residual)
        return self.relu(residual + shortcut), residual
