"""TensorFlow's element types, as ``tensorflow/core/framework/types.proto`` numbers them."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from mmseg_deeplab_ext.checkpoints.storage.format import (
    DT_BFLOAT16,
    DT_STRING,
    NUMPY_DTYPES,
    QUANTISED_DTYPES,
)
from mmseg_deeplab_ext.errors import CheckpointFormatError, CheckpointUnsupportedError

# NumPy 1 has arrays of at most 32 dimensions.
MAX_RANK = 32
_INT64_MAX = (1 << 63) - 1

_UNSUPPORTED_NAMES = {20: "resource", 21: "variant", 24: "float8_e5m2", 25: "float8_e4m3fn"}


class ElementType(NamedTuple):
    """How elements are stored and returned.

    ``stored`` is in native byte order, whatever the file's is; for strings it means nothing.
    """

    number: int
    stored: np.dtype
    returned: np.dtype

    @property
    def is_string(self) -> bool:
        """Elements are byte strings, each of its own length."""
        return self.number == DT_STRING


_TYPES = {
    number: ElementType(number, dtype, dtype)
    for number, dtype in {
        **NUMPY_DTYPES,
        **QUANTISED_DTYPES,
        DT_STRING: np.dtype(object),
        8: np.dtype(np.complex64),
        18: np.dtype(np.complex128),
    }.items()
}
# NumPy has no bfloat16: the upper half of a float32, so that float32 holds every value exactly.
_TYPES[DT_BFLOAT16] = ElementType(DT_BFLOAT16, np.dtype(np.uint16), np.dtype(np.float32))


def element_type(number: int) -> ElementType:
    """The element type with a number of TensorFlow's."""
    try:
        return _TYPES[number]
    except KeyError:
        name = _UNSUPPORTED_NAMES.get(number, "unknown")
        raise CheckpointUnsupportedError(
            f"its element type is {number} ({name}); supported are floats of 16 to 64 bits, "
            "integers of 8 to 64 bits (also quantised ones), bool, complex and strings"
        ) from None


def count_elements(shape: tuple[int, ...]) -> int:
    """Number of elements of a tensor."""
    if len(shape) > MAX_RANK:
        raise CheckpointUnsupportedError(
            f"a tensor of {len(shape)} dimensions; at most {MAX_RANK} are supported"
        )
    if any(size < 0 for size in shape):
        raise CheckpointFormatError(f"the shape {list(shape)} has a negative dimension")
    # 16 bytes is the largest element; NumPy needs the product without zeros for the strides.
    if math.prod(size for size in shape if size) > _INT64_MAX // 16:
        raise CheckpointFormatError(f"the shape {list(shape)} has more elements than memory can")
    return math.prod(shape)


def as_returned(stored: np.ndarray, kind: ElementType) -> np.ndarray:
    """Elements as the reader returns them: bfloat16 widened to float32, all others as they are."""
    if kind.returned == np.bool_:
        largest = int(stored.view(np.uint8).max(initial=0))
        if largest > 1:
            raise CheckpointFormatError(f"a bool should be 0 or 1, and one is {largest}")
    if kind.number == DT_BFLOAT16:
        bits = stored.astype(np.uint32)
        bits <<= np.uint32(16)
        return bits.view(np.float32)
    return stored
