"""Every n-th position of a map."""

from __future__ import annotations

from torch import Tensor, nn


class Subsample(nn.Module):
    """Take every ``stride``-th row and column, the first ones included (slim's 1x1 max pool).

    Args:
        stride: 1 leaves a map as it is.
    """

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, C, H, W] to [N, C, ceil(H / stride), ceil(W / stride)]."""
        return x if self.stride == 1 else x[..., :: self.stride, :: self.stride]

    def extra_repr(self) -> str:
        """What ``print`` shows."""
        return f"stride={self.stride}"
