"""Tensors of every kind that a checkpoint of ours may hold (NumPy alone)."""

from __future__ import annotations

import numpy as np

FLOATS = ("float16", "float32", "float64")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


def every_kind() -> dict[str, np.ndarray]:
    """Name and value of tensors of all dtypes, with extreme values, shapes and names."""
    tensors = {
        "bool": np.array([[True, False], [False, True]]),
        "empty": np.zeros((0, 4), np.float32),
        "flat": np.zeros((2, 3, 1, 0, 5), np.int64),
        "global_step": np.array(30000, np.int64),
        "one": np.array([7], np.uint8),
        "scalar": np.array(-2.5, np.float32),
        "string": _strings([[b"hello", b""], [b"x" * 300, b"\x00\xff"]]),
        "string/empty": _strings([]).reshape(3, 0),
        "string/scalar": _strings(b"\x0a\x05graph"),
        "größe/重み": np.arange(6, dtype=np.float32).reshape(1, 2, 3),
        "~": np.array([[-1, 1]], np.int32),
    }
    for name in FLOATS:
        info = np.finfo(name)
        special = [info.min, info.max, info.tiny, info.tiny / 2, -0.0, np.inf, -np.inf, np.nan]
        tensors[f"float/{name}"] = np.array(special, name)
    for name in ("complex64", "complex128"):
        tensors[f"complex/{name}"] = np.array([1 - 2j, complex(np.inf, -0.0)], name)
    for name in INTEGERS:
        info = np.iinfo(name)
        tensors[f"integer/{name}"] = np.array([info.min, 0, 1, info.max], name)
    # More than a block's 16 keys with a common start, so that some are stored whole.
    for i in range(40):
        tensors[f"block/unit_{i}/weights"] = np.full((1, 1, 2, i % 3 + 1), i, np.float32)
    return tensors


def many_names(count: int = 9000) -> dict[str, np.ndarray]:
    """So many names, and so long, that the index needs several blocks."""
    scope = "a_scope_of_some_length/" * 4
    return {f"{scope}{i:05d}/{'weights' * (i % 7)}": np.int16([i]) for i in range(count)}


def _strings(values) -> np.ndarray:
    return np.array(values, dtype=object)
