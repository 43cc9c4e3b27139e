"""Decompression of Snappy blocks, for tables that were written with compression.

Format: https://github.com/google/snappy/blob/main/format_description.txt. TensorFlow's own writer
has not compressed since 2017, and an index is tens of kilobytes, so plain Python is fast enough.
"""

from __future__ import annotations

from mmseg_deeplab_ext.checkpoints.storage.wire import Buffer, read_varint
from mmseg_deeplab_ext.errors import CheckpointFormatError

# The densest element is a copy with a 2-byte offset: 64 bytes from 3.
_LARGEST_COPY, _ITS_SIZE = 64, 3


def decompress(data: Buffer) -> bytes:
    """Decompress one Snappy block.

    Args:
        data: the whole block.

    Returns:
        The bytes that were compressed. Memory is taken as they come out, never as claimed.
    """
    end = len(data)
    claimed, position = read_varint(data, 0, end)
    limit = (end - position) * _LARGEST_COPY // _ITS_SIZE
    if claimed > limit:
        raise CheckpointFormatError(
            f"a Snappy block of {end} bytes claims to hold {claimed}; at most {limit} fit"
        )
    out = bytearray()
    while position < end:
        start = position
        kind = data[position] & 3
        if kind == 0:
            length, position = _literal_length(data, position, end)
            out += data[position : position + length]
            position += length
        else:
            length, offset, position = _copy(data, position, kind)
            _append_copy(out, length, offset, start)
        if position > end or len(out) > claimed:
            raise CheckpointFormatError(
                f"offset {start} of a Snappy block of {end} bytes: the element ends at {position} "
                f"and makes {len(out)} bytes of the claimed {claimed}"
            )
    if len(out) != claimed:
        raise CheckpointFormatError(
            f"a Snappy block claims to hold {claimed} bytes, and holds {len(out)}"
        )
    return bytes(out)


def _literal_length(data: Buffer, position: int, end: int) -> tuple[int, int]:
    """Length of the literal at ``position``, and where its bytes start."""
    length = (data[position] >> 2) + 1
    position += 1
    if length > 60:
        extra = length - 60
        length = int.from_bytes(data[position : position + extra], "little") + 1
        position += extra
    if position + length > end:
        raise CheckpointFormatError(
            f"a literal of {length} bytes at offset {position} of a Snappy block ends after the "
            f"block, at {end}"
        )
    return length, position


def _copy(data: Buffer, position: int, kind: int) -> tuple[int, int, int]:
    """(length, distance back, position after) of the copy element at ``position``."""
    tag = data[position]
    if kind == 1:
        low = int.from_bytes(data[position + 1 : position + 2], "little")
        return ((tag >> 2) & 7) + 4, (tag >> 5) << 8 | low, position + 2
    size = 2 if kind == 2 else 4
    offset = int.from_bytes(data[position + 1 : position + 1 + size], "little")
    return (tag >> 2) + 1, offset, position + 1 + size


def _append_copy(out: bytearray, length: int, offset: int, start: int) -> None:
    if not 1 <= offset <= len(out):
        raise CheckpointFormatError(
            f"offset {start} of a Snappy block: a copy from {offset} bytes back, of {len(out)}"
        )
    first = len(out) - offset
    # A copy may reach into its own output: it then repeats its first `offset` bytes.
    chunk = bytes(out[first : first + length])
    repeated = chunk * (length // len(chunk) + 1)
    out += repeated[:length]
