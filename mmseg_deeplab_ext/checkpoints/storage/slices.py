"""Parts of partitioned variables: where they lie in the whole, and under which key in the file.

Facts: ``tensorflow/core/framework/tensor_slice.{proto,cc}``,
``core/util/saved_tensor_slice_util.cc`` and ``core/lib/strings/ordered_code.cc``, which encodes so
that keys sort as the values they hold.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from typing import Iterable, NamedTuple, Sequence

from mmseg_deeplab_ext.checkpoints.storage.wire import LENGTH, VARINT, Buffer, read_fields
from mmseg_deeplab_ext.errors import CheckpointFormatError, CheckpointUnsupportedError

WHOLE = -1  # TensorFlow's kFullExtent, in place of a length
# Partitioners of TensorFlow cut one axis. The check below takes 2 to this power steps per part.
_MAX_CUT_AXES = 6
_EXTENT = {1: VARINT, 2: VARINT}  # start, length


class Extent(NamedTuple):
    """A part's range on one axis; the length may be ``WHOLE``."""

    start: int
    length: int


def parse_slice(data: Buffer, start: int, end: int) -> tuple[Extent, ...]:
    """Read a TensorSliceProto: one extent per axis."""
    extents = []
    for _, first, last in read_fields(data, start, end, {1: LENGTH}):
        numbers = {1: 0, 2: WHOLE}
        for number, _, value in read_fields(data, first, last, _EXTENT):
            numbers[number] = value
        extents.append(Extent(*numbers.values()))
    return tuple(extents)


def place(part: Sequence[Extent], shape: Sequence[int]) -> tuple[slice, ...]:
    """Where a part lies in the whole, as NumPy's indices.

    Args:
        part: the part's extents.
        shape: the whole tensor's.
    """
    if len(part) != len(shape):
        raise CheckpointFormatError(
            f"a part with {len(part)} axes of a tensor of shape {list(shape)}"
        )
    result = []
    for extent, size in zip(part, shape):
        length = size - extent.start if extent.length == WHOLE else extent.length
        if extent.start < 0 or length < 0 or extent.start + length > size:
            raise CheckpointFormatError(
                f"the part {show(part)} is not inside the tensor's shape {list(shape)}"
            )
        result.append(slice(extent.start, extent.start + length))
    return tuple(result)


def shape_of(indices: Iterable[slice]) -> tuple[int, ...]:
    """Shape of the part at ``indices``."""
    return tuple(index.stop - index.start for index in indices)


def show(part: Sequence[Extent]) -> str:
    """A part as messages show it: start and length per axis, ``-`` for a whole axis."""
    shown = ("-" if length == WHOLE else f"{start},{length}" for start, length in part)
    return ":".join(shown) or "scalar"


def check_cover(parts: Sequence[tuple[slice, ...]], shape: Sequence[int]) -> None:
    """See that parts fill the whole, each place once.

    Adding up +1 and -1 at the corners of each part gives, for parts that fit together, the same
    as at the corners of the whole: only there they do not cancel out. (The sum of the parts'
    indicator functions is the whole's exactly if their mixed derivatives are equal.)
    """
    whole = [slice(0, size) for size in shape]
    cut = [axis for axis in range(len(shape)) if any(part[axis] != whole[axis] for part in parts)]
    if len(cut) > _MAX_CUT_AXES:
        raise CheckpointUnsupportedError(
            f"a tensor cut along {len(cut)} axes; at most {_MAX_CUT_AXES} are supported"
        )
    corners: Counter[tuple[int, ...]] = Counter()
    for part, weight in [*((part, 1) for part in parts), (tuple(whole), -1)]:
        ends = [((part[axis].start, 1), (part[axis].stop, -1)) for axis in cut]
        for corner in itertools.product(*ends):
            sign = math.prod(factor for _, factor in corner)
            corners[tuple(position for position, _ in corner)] += sign * weight
    if any(corners.values()):
        raise CheckpointFormatError(
            f"the {len(parts)} parts of the tensor overlap, or do not fill its shape {list(shape)}"
        )


def slice_key(name: str, part: Sequence[Extent]) -> bytes:
    """The key under which a table has a part of a tensor."""
    escaped = name.encode().replace(b"\x00", b"\x00\xff")  # UTF-8 never has 0xff, the other escape
    rank = len(part).to_bytes(1, "big") if part else b""
    numbers = b"".join(_signed(number) for extent in part for number in extent)
    return b"\x00" + escaped + b"\x00\x01" + bytes([len(rank)]) + rank + numbers


def _signed(number: int) -> bytes:
    """An int64 as an ordered code: its length in ones, a zero, then the two's complement."""
    magnitude = ~number if number < 0 else number
    length = magnitude.bit_length() // 7 + 1
    header = ((1 << length) - 1) << (7 * length) if number >= 0 else 0
    bits = (number & ((1 << 7 * length) - 1)) | header
    return bits.to_bytes(length, "big")
