"""Upsampling by a transposed convolution that starts as bilinear interpolation."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class TransposedUpsampling(nn.Module):
    """A transposed convolution of stride f and kernel 2f, which reaches f / 2 beyond its input.

    As it starts, and as it stays if it is not trained, it equals bilinear interpolation with
    half-pixel centres (``align_corners=False``) but within f / 2 of the input's border: there the
    interpolation repeats the last value, and this one fades towards zero.

    Its values come from its factor alone, so an untrained one has nothing in the state dict.

    Args:
        channels: of input and output.
        factor: f, an even number.
        trained: learn the weights, [channels, channels, 2f, 2f]; no bias.
    """

    def __init__(self, channels: int, factor: int, *, trained: bool = False) -> None:
        super().__init__()
        self.factor = factor
        self.trained = trained
        if trained:
            self.weight = nn.Parameter(torch.empty(channels, channels, 2 * factor, 2 * factor))
        else:
            self.register_buffer(
                "weight", torch.empty(channels, 1, 2 * factor, 2 * factor), persistent=False
            )
        self.reset_parameters()

    @property
    def border(self) -> int:
        """Pixels of the output beyond each side of the input."""
        return self.factor // 2

    def reset_parameters(self) -> None:
        """Make it bilinear: each channel goes to itself, by a triangle over two inputs."""
        channels, _, size, _ = self.weight.shape
        centre = (size - 1) / 2
        positions = torch.arange(size, dtype=self.weight.dtype, device=self.weight.device)
        triangle = 1 - (positions - centre).abs() / self.factor
        own = torch.arange(channels, device=self.weight.device)
        with torch.no_grad():
            self.weight.zero_()
            self.weight[own, own if self.trained else 0] = triangle[:, None] * triangle

    def forward(self, x: Tensor) -> Tensor:
        """Upsample [N, C, h, w] to [N, C, (h + 1) * f, (w + 1) * f]."""
        groups = 1 if self.trained else len(self.weight)
        return F.conv_transpose2d(x, self.weight, stride=self.factor, groups=groups)
