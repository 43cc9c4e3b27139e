"""Let PyTorch load MMEngine's own checkpoints without switching its protection off.

Since version 2.6 ``torch.load`` refuses whatever is not a plain tensor, number or container.
MMEngine's checkpoints hold the history of the logged values besides. Official MMEngine passes no
list of what may be loaded, so there neither testing nor resuming works. OneDL's passes a list that
lacks, among others, the type of a float32 number such as IoUMetric's best score: it warns at length
and loads the file with the protection off.
"""

from __future__ import annotations

import pickle
from typing import Any, Callable

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import checkpoint
from mmengine.utils import digit_version

# NumPy 2 moved these; a checkpoint names the place of the NumPy that wrote it.
_NUMPY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")

# Booleans, integers and floating point numbers.
_DTYPE_CODES = "?bBhHiIlLqQefd"

# HistoryBuffer registers these of its methods by name and pickles the table.
_STATISTICS = ("min", "max", "current", "mean")


def allow_mmengine_checkpoints() -> None:
    """Tell PyTorch which types, beyond tensors, a checkpoint of MMEngine's Runner contains."""
    if digit_version(torch.__version__) < digit_version("2.6.0"):
        return
    allowed: list[Any] = [type(np.dtype(code)) for code in _DTYPE_CODES]
    allowed += _numpy_rebuilders()
    # What OneDL's list has is left to it: MMEngine takes its entries back after each file, equal
    # ones of ours with them.
    if not hasattr(checkpoint, "get_torch_safe_globals"):
        allowed += [HistoryBuffer, np.ndarray, np.dtype, (_statistics_method, "builtins.getattr")]
    torch.serialization.add_safe_globals(allowed)


def _numpy_rebuilders() -> list[tuple[Callable[..., Any], str]]:
    rebuilders = {
        "_reconstruct": np.zeros(1).__reduce__()[0],
        "scalar": np.float64(0).__reduce__()[0],
    }
    return [
        (function, f"{module}.{name}")
        for module in _NUMPY_MODULES
        for name, function in rebuilders.items()
    ]


def _statistics_method(owner: Any, name: str) -> Callable[..., Any]:
    """Stand in for ``getattr``, as which pickle writes a method, and find these methods only."""
    if owner is not HistoryBuffer or name not in _STATISTICS:
        raise pickle.UnpicklingError(
            f"a checkpoint may name the methods {', '.join(_STATISTICS)} of MMEngine's "
            f"HistoryBuffer, this one names {name!r} of {owner!r}"
        )
    return getattr(HistoryBuffer, name)
