"""The sizes of scaled images and feature maps, as TensorFlow's DeepLab counts them."""

from __future__ import annotations

from typing import Sequence


def scale_dimension(dim: int, scale: float) -> int:
    """Scale a height or width, counted without its first pixel (deeplab/core/utils.py).

    So the corner pixels of an image of k * stride + 1 stay corners of its feature map.
    """
    return int((float(dim) - 1.0) * scale + 1.0)


def scale_size(size: Sequence[int], scale: float) -> tuple[int, int]:
    """Scale height and width, each with :func:`scale_dimension`."""
    height, width = size
    return scale_dimension(height, scale), scale_dimension(width, scale)
