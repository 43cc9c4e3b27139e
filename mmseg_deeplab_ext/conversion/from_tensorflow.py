"""From a TensorFlow checkpoint to a PyTorch state dict."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmseg_deeplab_ext.checkpoints.reader import Checkpoint
from mmseg_deeplab_ext.conversion.finite import demand_finite
from mmseg_deeplab_ext.conversion.plan import Plan, make_plan
from mmseg_deeplab_ext.errors import CheckpointMismatchError, CheckpointUnsupportedError
from mmseg_deeplab_ext.wording import listed

# Output and input channels that are rearranged at a time: 288 KiB of 3x3 kernels, which a core's
# cache holds. Half and twice as much are slower.
_BLOCK = (128, 64)


def plan_conversion(checkpoint: Checkpoint, **options: Any) -> Plan:
    """:func:`make_plan`, with its options, of an open checkpoint; no value is read."""
    shapes = {name: checkpoint.shape(name) for name in checkpoint}
    try:
        plan = make_plan(shapes, **options)
        _check_dtypes(plan, checkpoint)
    except (CheckpointMismatchError, CheckpointUnsupportedError) as error:
        raise type(error)(f"{checkpoint.path}: {error}") from error
    return plan


def read_state_dict(checkpoint: Checkpoint, plan: Plan) -> dict[str, Tensor]:
    """Read and rearrange what a checkpoint's plan uses.

    Returns:
        Tensors in float32, contiguous, under the names of a segmentor (``backbone.``,
        ``decode_head.``).
    """
    state_dict = {}
    for rule, name in plan.sources:
        # read() gives memory of our own, freed once rearranged; mapped pages would stay.
        value = checkpoint.read(name)
        if value.dtype == np.float64:
            value = _narrowed(value, name=f"{checkpoint.path}: {name}")
        value = _contiguous_float32(rule.to_torch(value))
        state_dict[rule.torch_name] = torch.from_numpy(value)
    demand_finite(state_dict, source=checkpoint.path)
    return state_dict


def _narrowed(value: np.ndarray, *, name: str) -> np.ndarray:
    """Turn float64 into float32, in which no finite value may become infinite."""
    with np.errstate(over="ignore"):
        narrow = value.astype(np.float32)
    lost = np.isinf(narrow) & np.isfinite(value)
    if lost.any():
        raise CheckpointMismatchError(
            f"{name} holds {value[lost].flat[0]}, which is beyond the range of float32 "
            f"({np.finfo(np.float32).max}), and {np.count_nonzero(lost)} such values in all"
        )
    return narrow


def _contiguous_float32(value: np.ndarray) -> np.ndarray:
    """Copy an array in C order as float32, or return it if it is that.

    A kernel whose axes were exchanged is copied in blocks of its first two axes, and each block
    first as it lies in memory: read in the order of the result, almost every element would come
    from another cache line and page (three times the time for a whole ResNet-101).
    """
    if value.ndim < 2 or value.flags.c_contiguous:
        return value.astype(np.float32, order="C", copy=False)
    result = np.empty(value.shape, np.float32)
    height, width = _BLOCK
    for row in range(0, value.shape[0], height):
        for column in range(0, value.shape[1], width):
            block = np.s_[row : row + height, column : column + width]
            result[block] = value[block].copy(order="K")
    return result


def _check_dtypes(plan: Plan, checkpoint: Checkpoint) -> None:
    problems = [
        f"{name} holds {checkpoint.dtype(name)} instead of float32"
        for _, name in plan.sources
        if checkpoint.dtype(name).kind != "f"
    ]
    if problems:
        raise CheckpointMismatchError(
            f"the file looks like {plan.network}, but has other values: {listed(problems)}"
        )
