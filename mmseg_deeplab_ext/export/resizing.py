"""Sizes and resampling of the official export, in operations that can be traced.

While PyTorch traces a network, sizes are tensors. Everything here computes with tensors, so that
the graph computes the sizes of the image it is given and not those of the image it was traced with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from mmseg_deeplab_ext.config_values import is_whole
from mmseg_deeplab_ext.errors import ConfigError


@dataclass(frozen=True)
class ResizeRange:
    """The official ``min_resize_value``, ``max_resize_value`` and ``resize_factor``.

    Attributes:
        min_value: wanted size of the image's shorter side, in pixels.
        max_value: largest size of its longer side; None sets no limit.
        factor: both sides become multiples of it plus one; None leaves them as they are.
    """

    min_value: int
    max_value: int | None = None
    factor: int | None = None

    def __post_init__(self) -> None:
        for name, value, optional in (
            ("min_resize_value", self.min_value, False),
            ("max_resize_value", self.max_value, True),
            ("resize_factor", self.factor, True),
        ):
            if not (optional and value is None) and not is_whole(value, minimum=1):
                raise ConfigError(f"{name}={value!r} must be a whole number of at least 1")

    def __str__(self) -> str:
        longer = "" if self.max_value is None else f", its longer one to at most {self.max_value}"
        factor = "" if self.factor is None else f", both to a multiple of {self.factor} plus one"
        return f"its shorter side to {self.min_value}{longer}{factor}"

    def size(self, size: Tensor) -> Tensor:
        """The size that an image is resized to (core/preprocess_utils.py ``resize_to_range``).

        Args:
            size: int64 [2], height and width.

        Returns:
            int64 [2]. TensorFlow computes it in float32, and so does this: in other arithmetic
            some sizes are one pixel off.
        """
        sides = size.to(torch.float32)
        new_size = _scaled(sides, self.min_value, sides.min())
        if self.max_value is not None:
            # The largest size of the form k * factor + 1 that is within the limit.
            largest = self.max_value - (self.max_value - 1) % (self.factor or 1)
            limited = _scaled(sides, largest, sides.max())
            new_size = torch.where(new_size.max() > largest, limited, new_size)
        if self.factor is not None:
            new_size = new_size + (self.factor - (new_size - 1) % self.factor) % self.factor
        return new_size


def _scaled(sides: Tensor, wanted: int, side: Tensor) -> Tensor:
    """Both sides scaled by ``wanted / side``, rounded down."""
    # Not `wanted / side`: PyTorch computes that as a reciprocal times a number, which rounds twice.
    scale = torch.div(torch.tensor(wanted, dtype=torch.float32), side)
    return torch.floor(sides * scale).to(torch.int64)


def image_size(image: Tensor) -> Tensor:
    """Height and width of an image [1, H, W, 3], as int64 [2]."""
    return torch.stack([torch.as_tensor(side) for side in image.shape[1:3]])


def resize_bilinear(x: Tensor, size: Sequence) -> Tensor:
    """Resize [N, C, h, w] to (H, W) with aligned corners."""
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=True)


def pad_to(x: Tensor, size: tuple[int, int], *, value: float) -> Tensor:
    """Pad [1, 3, h, w] at the bottom and right to exactly (H, W).

    A larger image fails, in the graph as well: it can't be reshaped to this size.
    """
    missing = [torch.as_tensor(w - s).clamp(min=0) for w, s in zip(size, x.shape[-2:])]
    padded = F.pad(x, [0, missing[1], 0, missing[0]], value=value)
    return padded.reshape(1, 3, *size)
