"""The wire format of Protocol Buffers: numbers of variable length, and fields of a message.

https://protobuf.dev/programming-guides/encoding/. Messages of errors count bytes from the start
of the record in hand.
"""

from __future__ import annotations

import struct
from typing import Any, Iterator, Mapping, Union

from mmseg_deeplab_ext.errors import CheckpointFormatError

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
_FIXED_SIZES = {FIXED64: 8, FIXED32: 4}
_LONGEST_VARINT = 10  # bytes of 7 bits, for 64
_KINDS = {VARINT: "varint", FIXED64: "64-bit", LENGTH: "bytes", FIXED32: "32-bit"}

# What numbers and fields are read from: indexing gives ints, slicing gives the same kind.
Buffer = Union[bytes, memoryview]


def read_varint(data: Buffer, position: int, end: int) -> tuple[int, int]:
    """Read a number of variable length, at most 64 bits.

    Args:
        data: bytes.
        position: where the number starts.
        end: where the data that may be read ends.

    Returns:
        The number, and the position after it.
    """
    if position < end and data[position] < 0x80:  # almost all
        return data[position], position + 1
    start, result, shift = position, 0, 0
    for position in range(start, min(end, start + _LONGEST_VARINT)):
        byte = data[position]
        result |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            if result >> 64:
                raise CheckpointFormatError(
                    f"byte {start} of the record: the number {result} is larger than 64 bits"
                )
            return result, position + 1
    if end - start < _LONGEST_VARINT:
        raise CheckpointFormatError(f"byte {start} of the record: a number is cut off at {end}")
    raise CheckpointFormatError(
        f"byte {start} of the record: a number is longer than {_LONGEST_VARINT} bytes"
    )


def varint(number: int) -> bytes:
    """Encode a non-negative number in groups of seven bits, the lowest first."""
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def field(number: int, value: int | bytes, *, kind: int = VARINT) -> bytes:
    """Encode a field of a message: bytes, or a number; a zero is left out, as in all of proto3.

    Args:
        number: the field's.
        value: what it holds.
        kind: of a number: VARINT or FIXED32.
    """
    if isinstance(value, bytes):
        return varint(number << 3 | LENGTH) + varint(len(value)) + value
    if not value:
        return b""
    return varint(number << 3 | kind) + (
        varint(value) if kind == VARINT else struct.pack("<I", value)
    )


def read_fields(
    data: Buffer, position: int, end: int, kinds: Mapping[int, int]
) -> Iterator[tuple[int, int, int]]:
    """Go through the fields of the message in ``data[position:end]``, in the order of the file.

    Args:
        data: bytes.
        position: where the message starts.
        end: where it ends.
        kinds: for each number of a field that is wanted, its kind; others are skipped.

    Yields:
        (number, start, value). For a varint, the value is an int32, int64, enum or bool; for a
        field of bytes, it is where they end, and ``start`` is where they start.
    """
    while position < end:
        begin = position
        # Calls are what takes the time: numbers of one byte, almost all, are read in place.
        tag = data[position]
        position += 1
        if tag >= 0x80:
            tag, position = read_varint(data, begin, end)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT or kind == LENGTH:
            value = data[position] if position < end else 0x80
            start = position + 1
            if value >= 0x80:
                value, start = read_varint(data, position, end)
            position = start
            if kind == LENGTH:
                value = position = start + value
            elif value >> 63:
                value -= 1 << 64
        elif kind in _FIXED_SIZES:
            start = position
            position += _FIXED_SIZES[kind]
            value = int.from_bytes(data[start:position], "little")
        else:
            raise _wrong_field(begin, number, kind, kinds)
        if position > end:
            raise CheckpointFormatError(
                f"byte {begin} of the record: field {number} ends at {position}, and its message "
                f"at {end}"
            )
        wanted = kinds.get(number)
        if wanted == kind:
            yield number, start, value
        elif wanted is not None or not number:
            raise _wrong_field(begin, number, kind, kinds)


def _wrong_field(
    begin: int, number: int, kind: int, kinds: Mapping[int, int]
) -> CheckpointFormatError:
    allowed = ", ".join(f"{known} ({_KINDS[which]})" for known, which in kinds.items())
    return CheckpointFormatError(
        f"byte {begin} of the record: field {number} of kind {_KINDS.get(kind, kind)}; the fields "
        f"read here are {allowed}"
    )


def text(data: Any) -> str:
    """A name from a file."""
    try:
        return bytes(data).decode("utf-8")
    except UnicodeDecodeError as error:
        shown = bytes(data[:100])
        raise CheckpointFormatError(f"the name {shown!r} is not UTF-8: {error}") from error
