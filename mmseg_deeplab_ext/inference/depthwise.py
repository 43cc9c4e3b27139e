"""Depthwise atrous convolutions for CPUs, where PyTorch's own are slow.

In channels-last, oneDNN takes 4 to 15 times as long at a rate of 12 as at 6. Both forms here are
exact but for the order of nine sums; ``benchmarks/depthwise.py`` times all three, and the rule in
:func:`quickest_form` follows it. They are for inference without tracing only.
"""

from __future__ import annotations

from typing import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_SLOW_FROM = 12
"""The smallest rate at which the plain convolution is slow."""

_SPARSE_BELOW = 4
"""Maps up to this many rates wide have so many taps in their padding that single taps win."""


def plain(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """PyTorch's own."""
    return F.conv2d(x, conv.weight, conv.bias, 1, conv.padding, conv.dilation, conv.groups)


def padded(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Pad first: without padding, oneDNN has a quicker kernel."""
    (rate, _) = conv.dilation
    x = F.pad(x, [rate] * 4)
    return F.conv2d(x, conv.weight, conv.bias, 1, 0, conv.dilation, conv.groups)


def shifted(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Add up nine shifted products, or fewer: taps that lie in the padding are left out."""
    (rate, _) = conv.dilation
    taps = conv.weight.reshape(-1, 9).t().contiguous().reshape(3, 3, 1, -1, 1, 1)
    out = x * taps[1, 1]
    if conv.bias is not None:
        out += conv.bias.reshape(1, -1, 1, 1)
    for row, (above, from_above) in enumerate(_slices(rate, x.shape[2])):
        for column, (left, from_left) in enumerate(_slices(rate, x.shape[3])):
            if (row, column) != (1, 1):
                part = out[:, :, above, left]  # empty where the rate exceeds the map
                part.addcmul_(x[:, :, from_above, from_left], taps[row, column])
    return out


def _slices(rate: int, length: int) -> list[tuple[slice, slice]]:
    """Of each of three taps: where its products go, and where they come from."""
    rate = min(rate, length)
    first, last = slice(0, length - rate), slice(rate, length)
    return [(last, first), (slice(None), slice(None)), (first, last)]


def quickest_form(conv: nn.Conv2d, x: Tensor) -> Callable[[nn.Conv2d, Tensor], Tensor]:
    """Choose a form by the layout, type and device of a map, and the rate."""
    (rate, _) = conv.dilation
    here = x.device.type == "cpu" and x.is_contiguous(memory_format=torch.channels_last)
    if not here or rate < _SLOW_FROM:
        return plain
    sparse = min(x.shape[-2:]) <= _SPARSE_BELOW * rate
    # In half precision every one of the nine sums would be rounded.
    return shifted if sparse and x.dtype == torch.float32 else padded


class QuickDepthwiseConv2d(nn.Module):
    """A depthwise 3x3 convolution in the form that is quickest for each map.

    Args:
        conv: one for which :func:`has_forms` holds.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        """Convolve [N, C, H, W]."""
        return quickest_form(self.conv, x)(self.conv, x)


def has_forms(module: nn.Module) -> bool:
    """Whether a layer is a depthwise 3x3 convolution of stride 1 that is slow as it is."""
    return (
        type(module) is nn.Conv2d
        and module.groups == module.in_channels == module.out_channels > 1
        and module.kernel_size == (3, 3)
        and module.stride == (1, 1)
        and module.padding == module.dilation == (module.dilation[0],) * 2
        and module.padding_mode == "zeros"
        and module.dilation[0] >= _SLOW_FROM
    )


def use_quick_depthwise(module: nn.Module) -> None:
    """Replace such convolutions, in place."""
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if has_forms(child):
                setattr(parent, name, QuickDepthwiseConv2d(child))
