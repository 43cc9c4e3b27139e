"""What a checkpoint of MMEngine's Runner holds besides tensors, numbers and containers.

The histories of the logged values, NumPy's numbers among the scores, the rule of a OneCycleLR, and
a config's dictionaries in a data set's metainfo, which load as plain ones.

Official MMEngine passes no list of what may be loaded, so with PyTorch 2.6 or newer, which asks for
one, neither testing nor resuming works there. OneDL's passes a list that lacks, among others, the
type of IoUMetric's best score, and loads such a file with the protection off.
"""

from __future__ import annotations

import pickle
from typing import Any, Callable

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer
from mmengine.optim import OneCycleParamScheduler
from mmengine.runner import checkpoint
from mmengine.utils import digit_version

# NumPy 2 moved these; a checkpoint names the place of the NumPy that wrote it.
_NUMPY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")

# Booleans, integers and floating point numbers.
_DTYPES = [np.dtype(code) for code in "?bBhHiIlLqQefd"]

# Methods that these classes' instances hold, and pickle by name.
_METHODS: dict[Any, tuple[str, ...]] = {
    HistoryBuffer: ("min", "max", "current", "mean"),
    OneCycleParamScheduler: ("_annealing_cos", "_annealing_linear"),
}


def mmengine_globals() -> dict[str, Any]:
    """What pickle may be given for the names in a checkpoint of MMEngine's Runner.

    Nothing here runs anything, whatever the arguments that a file has for it.
    """
    allowed: dict[str, Any] = {f"{cls.__module__}.{cls.__qualname__}": cls for cls in _METHODS}
    allowed.update({f"{type(d).__module__}.{type(d).__name__}": type(d) for d in _DTYPES})
    for module in _NUMPY_MODULES:
        allowed[f"{module}._reconstruct"] = _empty_array
        allowed[f"{module}.scalar"] = np.float64(0).__reduce__()[0]
    allowed.update({"numpy.ndarray": _empty_array, "numpy.dtype": _plain_dtype})
    # PyTorch fills arrays only if their type is in its list. Files' names have a dot: none is this.
    allowed["arrays"] = np.ndarray
    allowed["builtins.getattr"] = _plain_method
    allowed[f"{ConfigDict.__module__}.{ConfigDict.__qualname__}"] = dict
    return allowed


def allow_mmengine_checkpoints() -> None:
    """Tell PyTorch which types, beyond tensors, a checkpoint of MMEngine's Runner contains."""
    if digit_version(torch.__version__) >= digit_version("2.6.0"):
        names = mmengine_globals()
        if hasattr(checkpoint, "get_torch_safe_globals"):
            # OneDL's loader adds NumPy's _reconstruct to the list, which takes no stand-in.
            names["numpy.ndarray"] = np.ndarray
        allowed: list[Any] = [(value, name) for name, value in names.items()]
        torch.serialization.add_safe_globals(allowed)


def _empty_array(*_: object) -> np.ndarray:
    """Stand in for ``numpy.ndarray`` and ``_reconstruct``, which would make arrays of pointers.

    NumPy's own pickles call them for an empty array, and give it a plain type and values after.
    """
    return np.zeros(0, np.int8)


def _plain_dtype(code: str, *_: object) -> np.dtype:
    """Stand in for ``numpy.dtype``, whose copies a file could tell that they hold pointers.

    NumPy's own instances, which this returns, pass over what a file says of them.
    """
    for dtype in _DTYPES:
        if dtype.str[1:] == code:
            return dtype
    raise pickle.UnpicklingError(f"it holds NumPy values of type {code!r}, which are no numbers")


def _plain_method(owner: Any, name: str) -> Callable[..., Any]:
    """Stand in for ``getattr``, as which pickle writes a method, and find these methods only."""
    if not isinstance(owner, type) or name not in _METHODS.get(owner, ()):
        raise pickle.UnpicklingError(
            "a checkpoint may name the methods of statistics of MMEngine's HistoryBuffer, this one "
            f"names {name!r} of {owner!r}"
        )
    return getattr(owner, name)
