"""Pools that look at every position of a dense map where they looked at some of a coarser one.

A window's positions lie ``dilation`` apart. What a pool in ceil mode reads beyond the border at the
bottom and right is added to the padding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)


class _DensePool2d(nn.Module):
    """What the two pools have in common.

    Args:
        pool: the pool of the nominal map.
        stride: of this one.
        dilation: distance of the positions in a window.
    """

    def __init__(self, pool: nn.MaxPool2d | nn.AvgPool2d, *, stride: int, dilation: int) -> None:
        super().__init__()
        own = getattr(pool, "dilation", 1)
        self.kernel_size = _pair(pool.kernel_size)
        self.stride, self.dilation = stride, dilation * own
        nominal = _pair(pool.stride)
        self.margins: list[int] = []  # left, right, top, bottom
        self.overhangs: list[int] = []  # what ceil mode adds on the right and at the bottom
        for kernel, step, pad in list(zip(self.kernel_size, nominal, _pair(pool.padding)))[::-1]:
            # The last window begins before the padding at the end does.
            over = min(step - 1, own * (kernel - 1) - pad) if pool.ceil_mode else 0
            self.margins += [pad * dilation, pad * dilation]
            self.overhangs += [0, over * dilation]

    def _padded(self, x: Tensor, value: float) -> Tensor:
        return F.pad(x, [sum(both) for both in zip(self.margins, self.overhangs)], value=value)

    def extra_repr(self) -> str:
        """What ``print`` shows."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, dilation={self.dilation}"


class DenseMaxPool2d(_DensePool2d):
    """``nn.MaxPool2d`` on a denser map."""

    def forward(self, x: Tensor) -> Tensor:
        """Pool [N, C, H, W]."""
        x = self._padded(x, float("-inf"))
        return F.max_pool2d(x, self.kernel_size, self.stride, 0, self.dilation)


class DenseAvgPool2d(_DensePool2d):
    """``nn.AvgPool2d`` on a denser map: a dilated average."""

    def __init__(self, pool: nn.AvgPool2d, *, stride: int, dilation: int) -> None:
        super().__init__(pool, stride=stride, dilation=dilation)
        self.count_include_pad, self.divisor = pool.count_include_pad, pool.divisor_override

    def forward(self, x: Tensor) -> Tensor:
        """Pool [N, C, H, W]."""
        total = self._window_sums(self._padded(x, 0.0))
        if self.divisor:
            return total / self.divisor
        counted_margins = any(self.margins) and not self.count_include_pad
        if not counted_margins and not any(self.overhangs):
            return total / (self.kernel_size[0] * self.kernel_size[1])
        ones = torch.ones_like(x[:1, :1])
        ones = F.pad(ones, self.margins, value=float(self.count_include_pad))
        return total / self._window_sums(F.pad(ones, self.overhangs))

    def _window_sums(self, x: Tensor) -> Tensor:
        for dim, kernel in ((2, self.kernel_size[0]), (3, self.kernel_size[1])):
            total, reach = x, (kernel - 1) * self.dilation
            if reach:
                starts = range(0, reach + 1, self.dilation)
                # Negative ends: none of the numbers depends on the size of the map.
                total = sum(_cut(x, dim, start, start - reach) for start in starts)
            x = total
        return x[..., :: self.stride, :: self.stride] if self.stride > 1 else x


def _cut(x: Tensor, dim: int, start: int, end: int) -> Tensor:
    part = slice(start, end or None)
    return x[:, :, part] if dim == 2 else x[..., part]
