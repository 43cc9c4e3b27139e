"""MobileNetV3-Large as torchvision builds it for segmentation."""

from __future__ import annotations

from typing import NamedTuple, Sequence

from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.registry import MODELS


class _Row(NamedTuple):
    """A row of Table 1 in https://arxiv.org/abs/1905.02244, of a bottleneck."""

    kernel_size: int
    expanded: int
    channels: int
    squeezed: int  # channels inside the squeeze-excite, a quarter in whole eighths; 0 for none
    activation: type[nn.Module]
    stride: int


_RE, _HS = nn.ReLU, nn.Hardswish
_ROWS = (
    _Row(3, 16, 16, 0, _RE, 1),
    _Row(3, 64, 24, 0, _RE, 2),
    _Row(3, 72, 24, 0, _RE, 1),
    _Row(5, 72, 40, 24, _RE, 2),
    _Row(5, 120, 40, 32, _RE, 1),
    _Row(5, 120, 40, 32, _RE, 1),
    _Row(3, 240, 80, 0, _HS, 2),
    _Row(3, 200, 80, 0, _HS, 1),
    _Row(3, 184, 80, 0, _HS, 1),
    _Row(3, 184, 80, 0, _HS, 1),
    _Row(3, 480, 112, 120, _HS, 1),
    _Row(3, 672, 112, 168, _HS, 1),
    _Row(5, 672, 160, 168, _HS, 2),
    _Row(5, 960, 160, 240, _HS, 1),
    _Row(5, 960, 160, 240, _HS, 1),
)
_DILATED = range(12, 15)
"""The rows of the last stage: 2 is their dilation, and their first stride is 1."""
_STEM, _LAST = 16, 960


@MODELS.register_module()
class TorchvisionMobileNetV3(BaseModule):
    """torchvision's ``mobilenet_v3_large(dilated=True).features``, at output stride 16.

    Names in the state dict are torchvision's without ``features.``, so that its ImageNet weights
    load with ``init_cfg=dict(type="Pretrained", checkpoint=..., prefix="features.")``.
    MMSegmentation's ``MobileNetV3`` and our :class:`MobileNetV3` are other networks: they pad as
    TensorFlow, which on even sizes is not symmetric, and the former has output stride 8.

    Args:
        out_indices: layers whose outputs are returned, from 0, the stem, to 16, the last 1x1
            convolution. 4 is the first layer at stride 8, with 40 channels.
        norm_cfg: MMCV norm config. Torchvision's constants, momentum 0.01 and eps 1e-3, unless
            stated.
        init_cfg: MMEngine's; He's by default, as in torchvision.

    Raises:
        ConfigError: there is no such layer.
    """

    def __init__(
        self,
        out_indices: Sequence[int] = (4, 16),
        *,
        norm_cfg: dict | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(
            init_cfg
            or [
                {"type": "Kaiming", "layer": "Conv2d"},
                {"type": "Constant", "val": 1, "layer": "_BatchNorm"},
            ]
        )
        if not set(out_indices) <= set(range(len(_ROWS) + 2)):
            raise ConfigError(
                f"out_indices={tuple(out_indices)} must be layers from 0 to {len(_ROWS) + 1}"
            )
        norm_cfg = {"momentum": 0.01, "eps": 1e-3, **(norm_cfg or {"type": "BN"})}
        self.out_indices = tuple(out_indices)
        self.add_module("0", _conv(3, _STEM, 3, _HS, norm_cfg, stride=2))
        channels = _STEM
        for index, row in enumerate(_ROWS):
            dilation = 2 if index in _DILATED else 1
            self.add_module(str(index + 1), _Unit(channels, row, norm_cfg, dilation=dilation))
            channels = row.channels
        self.add_module(str(len(_ROWS) + 1), _conv(channels, _LAST, 1, _HS, norm_cfg))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """From images [N, 3, H, W] to the outputs of ``out_indices``, fine to coarse."""
        outputs = []
        for index, layer in enumerate(self.children()):
            x = layer(x)
            if index in self.out_indices:
                outputs.append(x)
        return tuple(outputs)


class _Unit(nn.Module):
    """Expand, depthwise, squeeze-excite, project; the input is added where it has the shape."""

    def __init__(self, in_channels: int, row: _Row, norm_cfg: dict, *, dilation: int) -> None:
        super().__init__()
        stride = 1 if dilation > 1 else row.stride
        self.adds_input = row.stride == 1 and in_channels == row.channels
        layers: list[nn.Module] = []
        if row.expanded != in_channels:
            layers.append(_conv(in_channels, row.expanded, 1, row.activation, norm_cfg))
        layers.append(
            _conv(
                *(row.expanded, row.expanded, row.kernel_size, row.activation, norm_cfg),
                stride=stride,
                dilation=dilation,
                groups=row.expanded,
            )
        )
        if row.squeezed:
            layers.append(_SqueezeExcite(row.expanded, row.squeezed))
        layers.append(_conv(row.expanded, row.channels, 1, nn.Identity, norm_cfg))
        self.block = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, in_channels, H, W] to [N, channels, ceil(H / stride), ceil(W / stride)]."""
        return x + self.block(x) if self.adds_input else self.block(x)


class _SqueezeExcite(nn.Module):
    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Multiply every channel of [N, channels, H, W] by a gate from the mean of all."""
        mean = x.mean(dim=(2, 3), keepdim=True)
        return x * nn.functional.hardsigmoid(self.fc2(self.fc1(mean).relu()))


def _conv(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    activation: type[nn.Module],
    norm_cfg: dict,
    **geometry: int,
) -> nn.Sequential:
    """Convolution with symmetric padding, batch norm, activation, under torchvision's names."""
    padding = kernel_size // 2 * geometry.get("dilation", 1)
    conv = nn.Conv2d(
        in_channels, out_channels, kernel_size, padding=padding, bias=False, **geometry
    )
    return nn.Sequential(conv, build_norm_layer(norm_cfg, out_channels)[1], activation())
