"""TensorFlow's nearest-neighbour resize with aligned corners, which PyTorch does not have."""

from __future__ import annotations

from typing import Sequence

import torch
from torch import Tensor

from mmseg_deeplab_ext.layers.quotient import quotient


def resize_nearest(x: Tensor, size: Sequence[int | Tensor]) -> Tensor:
    """Resize [..., h, w] of any dtype to [..., H, W].

    The first and the last cells of both rows fall together, and half a cell rounds up. While
    PyTorch traces a network, sizes are tensors: so is all that is computed from them here, or the
    sizes of one image would stay in the graph.

    Args:
        x: Labels, or anything else that must not be mixed.
        size: (H, W).
    """
    for dim, wanted in zip((x.dim() - 2, x.dim() - 1), size):
        x = x.index_select(dim, _nearest_indices(x.shape[dim], wanted, device=x.device))
    return x


def _nearest_indices(size: int | Tensor, wanted: int | Tensor, *, device: torch.device) -> Tensor:
    """For each of the wanted rows (or columns), the number of the one to take.

    The scale and the product are computed in float32, as in TensorFlow (``CalculateResizeScale``
    and ``roundf`` in ``core/kernels/image/resize_nearest_neighbor_op.cc``).
    """
    cells, steps = (torch.as_tensor(n - 1).to(torch.float32).reshape(1) for n in (size, wanted))
    (scale,) = quotient(cells, steps.clamp(min=1)).unbind()
    place = torch.arange(wanted, device=device).to(torch.float32) * scale
    below = torch.floor(place)
    return (below + (place - below >= 0.5).to(torch.float32)).to(torch.int64)
