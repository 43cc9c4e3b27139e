"""Values of a tensor in a TensorProto, as V1 checkpoints and graphs store them.

Facts: ``tensorflow/core/framework/tensor.proto`` and ``core/util/saved_tensor_slice_util.h``. The
message has one repeated field per kind of values; numbers are packed. In a checkpoint every value
is there: a shorter list never stands for a longer one with repetitions, as it may in a graph.
"""

from __future__ import annotations

import sys
from typing import NamedTuple

import numpy as np

from mmseg_deeplab_ext.checkpoints.storage.dtypes import ElementType
from mmseg_deeplab_ext.checkpoints.storage.wire import LENGTH, Buffer, read_fields
from mmseg_deeplab_ext.errors import CheckpointFormatError, CheckpointUnsupportedError

_RAW, _VARINT, _BYTES = "raw", "varint", "bytes"
_VARINT_BYTES = 10


class _Source(NamedTuple):
    """Field number of a kind of values, and how they are encoded."""

    field: int
    encoding: str


_FLOAT, _DOUBLE = _Source(5, _RAW), _Source(6, _RAW)
_INT, _INT64, _BOOL, _HALF = (_Source(field, _VARINT) for field in (7, 10, 11, 13))
_UINT32, _UINT64 = _Source(16, _VARINT), _Source(17, _VARINT)
# Number of the element type -> where its values are.
_SOURCES = {
    **{1: _FLOAT, 2: _DOUBLE, 8: _Source(9, _RAW), 18: _Source(12, _RAW), 7: _Source(8, _BYTES)},
    **dict.fromkeys((3, 4, 5, 6, 11, 12, 13, 16, 17), _INT),
    **{9: _INT64, 10: _BOOL, 19: _HALF, 22: _UINT32, 23: _UINT64},
}


_LARGEST_REPEATED = 1 << 18
"""Values that one may stand for: more would take much memory for few bytes of a file. Those of a
batch norm are a few thousand."""


def decode_repeating_values(
    data: Buffer, span: tuple[int, int], kind: ElementType, count: int
) -> np.ndarray:
    """As :func:`decode_values`, but values that are left out equal the last; zero without any."""
    values = decode_values(data, span, kind, None)
    missing = count - len(values)
    if not missing:
        return values
    if missing < 0 or count > _LARGEST_REPEATED:
        raise CheckpointFormatError(
            f"{len(values)} values, and the shape takes {count}; a longer list can't be, and a "
            f"shorter one, whose last value repeats, can up to {_LARGEST_REPEATED}"
        )
    last = values[-1] if len(values) else b"" if kind.is_string else 0
    return np.append(values, np.full(missing, last, values.dtype))


def decode_values(
    data: Buffer, span: tuple[int, int], kind: ElementType, count: int | None
) -> np.ndarray:
    """Values of the TensorProto in ``data[start:end]``.

    Args:
        data: the record.
        span: start and end of the message in it.
        kind: type of the elements.
        count: how many there should be; None for any number.

    Returns:
        Fresh array [count] of ``kind.stored`` (of bytes for strings).
    """
    if kind.number not in _SOURCES:
        raise CheckpointUnsupportedError(
            f"elements of type {kind.number} in a V1 checkpoint or a list of values; TensorFlow "
            "writes none"
        )
    source = _SOURCES[kind.number]
    fields = read_fields(data, *span, {source.field: LENGTH})
    spans = [(start, end) for _, start, end in fields]
    if source.encoding == _BYTES:
        strings = np.empty(_checked_count(len(spans), count), object)
        for number, (start, end) in enumerate(spans):
            strings[number] = bytes(data[start:end])
        return strings
    pieces = [np.frombuffer(data, np.uint8)[start:end] for start, end in spans]
    encoded = pieces[0] if len(pieces) == 1 else np.concatenate([np.empty(0, np.uint8), *pieces])
    if source.encoding == _RAW:
        values = np.empty(_checked_count(encoded.size / kind.stored.itemsize, count), kind.stored)
        values.view(np.uint8)[:] = encoded
        return values if sys.byteorder == "little" else values.byteswap()
    return _narrow(decode_varints(encoded, count), kind)


def decode_varints(encoded: np.ndarray, count: int | None) -> np.ndarray:
    """Decode numbers of variable length that stand one after the other.

    Args:
        encoded: uint8 [bytes].
        count: how many numbers there should be; None for any number.

    Returns:
        uint64 [count]; a negative number is its two's complement.
    """
    last = np.flatnonzero(encoded < 0x80)
    count = _checked_count(last.size, count)
    if encoded.size and encoded[-1] >= 0x80:
        raise CheckpointFormatError("the last number of the values is cut off")
    first = np.concatenate([np.zeros(1, last.dtype), last[:-1] + 1])[: last.size]
    lengths = last - first + 1
    if lengths.max(initial=0) > _VARINT_BYTES:
        raise CheckpointFormatError(f"one of the values is longer than {_VARINT_BYTES} bytes")
    values = np.zeros(count, np.uint64)
    for place in range(int(lengths.max(initial=0))):
        longer = np.flatnonzero(lengths > place)
        groups = (encoded[first[longer] + place] & 0x7F).astype(np.uint64)
        values[longer] |= groups << np.uint64(7 * place)
    return values


def _narrow(values: np.ndarray, kind: ElementType) -> np.ndarray:
    """Numbers as the wanted type, which must hold them."""
    if kind.stored == np.float16:  # its bits
        largest, signed = 0xFFFF, values
    elif kind.stored == np.bool_:
        largest, signed = 1, values
    elif kind.stored.kind == "u":
        largest, signed = int(np.iinfo(kind.stored).max), values
    else:
        limits = np.iinfo(kind.stored)
        largest, signed = int(limits.max), values.view(np.int64)
        if int(signed.min(initial=0)) < limits.min:
            raise CheckpointFormatError(f"{int(signed.min())} is no {kind.stored}")
    if int(signed.max(initial=0)) > largest:
        raise CheckpointFormatError(f"{int(signed.max())} is no {kind.stored}")
    if kind.stored == np.float16:
        return signed.astype(np.uint16).view(np.float16)
    return signed.astype(kind.stored)


def _checked_count(found: float, expected: int | None) -> int:
    """The number of values, if it is as expected, or for None a whole one."""
    if found != (int(found) if expected is None else expected):
        wanted = "as many as there are whole ones" if expected is None else expected
        raise CheckpointFormatError(
            f"the record holds {found:g} values, and the tensor's shape takes {wanted}"
        )
    return int(found)
