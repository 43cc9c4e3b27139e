"""The size that TensorFlow's ``resize_to_range`` gives an image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mmseg_deeplab_ext.config_values import is_whole
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.layers.quotient import quotient


@dataclass(frozen=True)
class ResizeRange:
    """The official ``min_resize_value``, ``max_resize_value`` and ``resize_factor``.

    Attributes:
        scale: wanted length of an image's shorter side, in pixels.
        max_size: greatest length of its longer side; None for any.
        factor: both lengths become a multiple of it plus one, the shorter one by growing; None
            leaves them.

    Raises:
        ConfigError: a value is no whole number of at least 1, or no length fits both limits.
    """

    scale: int
    max_size: int | None = None
    factor: int | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not is_whole(value, minimum=1) and not (value is None and name != "scale"):
                raise ConfigError(
                    f"resize to range: {name} is {value!r}; expected a whole number of at least 1"
                    + ("." if name == "scale" else ", or None.")
                )
        if self.max_size is not None and self.factor is not None and self.max_size <= self.factor:
            raise ConfigError(
                f"resize to range: no side of at most max_size={self.max_size} is a multiple of "
                f"factor={self.factor} plus one; raise max_size to at least {self.factor + 1}."
            )

    def __str__(self) -> str:
        longer = "" if self.max_size is None else f", its longer one to at most {self.max_size}"
        factor = "" if self.factor is None else f", both to a multiple of {self.factor} plus one"
        return f"its shorter side to {self.scale}{longer}{factor}"

    def size(self, size: Tensor) -> Tensor:
        """The size that an image is resized to (deeplab/core/preprocess_utils.py).

        While PyTorch traces a network, sizes are tensors; so is all that is computed here.

        Args:
            size: int64 [2], height and width.

        Returns:
            int64 [2]. TensorFlow computes it in float32, and so does this: in other arithmetic
            some sizes are one pixel off. TensorFlow fails on sides that vanish; one pixel remains
            of them here.
        """
        sides = size.to(torch.float32)
        new_size = _scaled(sides, self.scale, sides.min())
        if self.max_size is not None:
            # The largest length of the form k * factor + 1 that is within the limit.
            largest = self.max_size - (self.max_size - 1) % (self.factor or 1)
            limited = _scaled(sides, largest, sides.max())
            new_size = torch.where(new_size.max() > largest, limited, new_size)
        if self.factor is not None:
            new_size = new_size + (self.factor - (new_size - 1) % self.factor) % self.factor
        return new_size


def _scaled(sides: Tensor, wanted: int, side: Tensor) -> Tensor:
    """Both sides scaled by ``wanted / side``, rounded down."""
    scale = quotient(torch.full_like(sides, wanted), side.expand(2))
    return torch.floor(sides * scale).clamp(min=1).to(torch.int64)
