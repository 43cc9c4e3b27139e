"""Sizes and resampling of the official export, in operations that can be traced.

While PyTorch traces a network, sizes are tensors. Everything here computes with tensors, so that
the graph computes the sizes of the image it is given and not those of the image it was traced with.
"""

from __future__ import annotations

from typing import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


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
