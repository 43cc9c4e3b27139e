"""TensorFlow DeepLab's resizing with aligned corners, equal to the last bit.

TensorFlow's DeepLab resizes with ``align_corners=True``: output position i of n_out reads input
position ``i * (n_in - 1) / (n_out - 1)``, computed in float32. OpenCV's `resize` puts positions at
the centres of pixels instead, and its `remap` and `warpAffine` round weights to 1/32 of a pixel,
so neither can do this (source: tensorflow/core/kernels/image/resize_bilinear_op.cc,
resize_nearest_neighbor_op.cc, image_resizer_state.h).
"""

from __future__ import annotations

from typing import Tuple

import cv2
import numpy as np

_BLOCK_BYTES = 1 << 18
"""Rows are interpolated in blocks of about this size: blocks that stay in the cache."""
_CV2_CHANNELS = 4
"""`cv2.transpose`, several times faster than NumPy, takes pixels of up to this many floats."""


Window = Tuple[slice, slice]
"""A part of a resized image: its rows and columns, with start and stop."""


def resize_bilinear(
    image: np.ndarray, size: tuple[int, int], *, window: Window | None = None
) -> np.ndarray:
    """Resize an image as ``tf.image.resize_bilinear(align_corners=True)`` does.

    Args:
        image: (height, width) or (height, width, channels), of any type.
        size: Height and width to resize to.
        window: The part of the resized image to compute and return, by default all of it.

    Returns:
        float32. Values are not rounded, as TensorFlow's are not.
    """
    rows, columns = window or (slice(0, size[0]), slice(0, size[1]))
    if image.shape[:2] == size:
        return image[rows, columns].astype(np.float32)
    row_below, row_fraction = _positions(image.shape[0], size[0], rows)
    column_below, column_fraction = _positions(image.shape[1], size[1], columns)
    top, left = row_below[0], column_below[0]
    read = image[top : row_below[-1] + 2, left : column_below[-1] + 2]
    # Columns first, as TensorFlow: the order decides the rounding. Both passes work on whole rows,
    # hence the transpositions.
    turned = _transposed(read).astype(np.float32)
    narrowed = _interpolate_rows(turned, column_below - left, column_fraction)
    resized = _interpolate_rows(_transposed(narrowed), row_below - top, row_fraction)
    return resized.reshape(len(row_below), len(column_below), *image.shape[2:])


def resize_nearest(
    labels: np.ndarray, size: tuple[int, int], *, window: Window | None = None
) -> np.ndarray:
    """Resize labels as ``tf.image.resize_nearest_neighbor(align_corners=True)`` does.

    As :func:`resize_bilinear`, but of (height, width, ...), and the type stays.
    """
    for axis, part in enumerate(window or (slice(0, size[0]), slice(0, size[1]))):
        count = labels.shape[axis]
        below, fraction = _positions(count, size[axis], part)
        # Halves go up, as with C's roundf; np.round would take them to the even neighbour.
        labels = labels.take(np.minimum(below + (fraction >= 0.5), count - 1), axis=axis)
    return labels


def _positions(count: int, new_count: int, part: slice) -> tuple[np.ndarray, np.ndarray]:
    """Where a part of the output reads: the indices below, and the fractions above these."""
    step = np.float32(count - 1) / np.float32(max(new_count - 1, 1))
    positions = np.arange(part.start, part.stop, dtype=np.float32) * step
    below = np.floor(positions)
    return np.minimum(below.astype(np.intp), count - 1), positions - below


def _interpolate_rows(rows: np.ndarray, below: np.ndarray, fraction: np.ndarray) -> np.ndarray:
    """Interpolate between float32 rows ``below`` and those after them."""
    above = np.minimum(below + 1, len(rows) - 1)
    fraction = fraction.reshape(-1, *[1] * (rows.ndim - 1))
    result = np.empty((len(below), *rows.shape[1:]), np.float32)
    block = max(1, _BLOCK_BYTES // max(1, rows[0].nbytes))
    scratch = np.empty((min(block, len(below)), *rows.shape[1:]), np.float32)
    for start in range(0, len(below), block):
        part = slice(start, start + block)
        lower = result[part]
        upper = scratch[: len(lower)]
        # The indices are in range; mode="clip" only spares NumPy a copy.
        np.take(rows, below[part], axis=0, out=lower, mode="clip")
        np.take(rows, above[part], axis=0, out=upper, mode="clip")
        # below + (above - below) * fraction, in place
        upper -= lower
        upper *= fraction[part]
        lower += upper
    return result


def _transposed(image: np.ndarray) -> np.ndarray:
    if image.ndim == 2 or image.shape[2] <= _CV2_CHANNELS:
        return cv2.transpose(image)
    return np.ascontiguousarray(image.swapaxes(0, 1))
