"""TensorFlow's nearest-neighbour resize with aligned corners, which PyTorch does not have."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def nearest_indices(size: int, new_size: int) -> np.ndarray:
    """Index into a row of ``size`` cells for each of ``new_size`` cells.

    The first and the last cells of both rows fall together, and half a cell rounds up. Computed in
    float32 as in TensorFlow (``CalculateResizeScale`` and ``roundf`` in
    ``core/kernels/image/resize_nearest_neighbor_op.cc``).
    """
    scale = np.float32(size - 1) / np.float32(max(new_size - 1, 1))
    positions = np.arange(new_size, dtype=np.float32) * scale
    return np.minimum(np.floor(positions + np.float32(0.5)), size - 1).astype(np.int64)


def resize_nearest(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize [..., H, W] of any dtype to [..., *size]."""
    rows, columns = (
        torch.from_numpy(nearest_indices(old, new)).to(x.device)
        for old, new in zip(x.shape[-2:], size)
    )
    return x[..., rows[:, None], columns]
