"""One block of a table: sorted keys, of which each stores only what differs from the one before.

Facts: ``table/block_builder.cc`` of LevelDB. Entries are {length shared with the key before,
length of the rest, length of the value, rest of the key, value}. Then come 32-bit offsets of the
restarts (entries whose key is complete) and their number.
"""

from __future__ import annotations

import bisect
from typing import Iterator

import numpy as np

from mmseg_deeplab_ext.checkpoints.storage.wire import Buffer, read_varint
from mmseg_deeplab_ext.errors import CheckpointFormatError

# How many keys in a row share a start: 16 in all files of TensorFlow. Without a limit, keys that
# share more and more would take memory in proportion to the square of the block's size.
_LARGEST_GROUP = 64


class Block:
    """The entries of a block.

    Args:
        data: the block's bytes, uncompressed.
        keys: its keys, ascending.
        spans: for each key, where its value starts and ends in ``data``.
    """

    def __init__(self, data: Buffer, keys: list[bytes], spans: list[tuple[int, int]]) -> None:
        self.keys = keys
        self._data = data
        self._spans = spans

    def items(self) -> Iterator[tuple[bytes, Buffer]]:
        """Keys and values, in the order of the keys."""
        for key, (start, end) in zip(self.keys, self._spans):
            yield key, self._data[start:end]

    def find(self, key: bytes) -> Buffer | None:
        """The value of a key, or None."""
        number = bisect.bisect_left(self.keys, key)
        if number == len(self.keys) or self.keys[number] != key:
            return None
        start, end = self._spans[number]
        return self._data[start:end]


def parse_block(data: Buffer) -> Block:
    """Read the entries of a block.

    Args:
        data: the block's bytes, uncompressed.
    """
    restarts, end = _restarts(data)
    keys: list[bytes] = []
    spans: list[tuple[int, int]] = []
    complete = set()  # where entries with complete keys start
    key, position = b"", 0
    room = _LARGEST_GROUP * len(data)  # for keys
    while position < end:
        start = position
        shared, rest, value_size, position = _entry_lengths(data, position, end)
        if shared == 0:
            complete.add(start)
        key_end = position + rest
        value_end = key_end + value_size
        room -= shared + rest
        if room < 0:
            raise CheckpointFormatError(
                f"offset {start} of the block: the keys up to here take more than "
                f"{_LARGEST_GROUP} times the block's size"
            )
        if shared > len(key) or value_end > end:
            raise CheckpointFormatError(
                f"offset {start} of the block: the entry shares {shared} bytes with a key of "
                f"{len(key)} and ends at {value_end}; the entries end at {end}"
            )
        new_key = key[:shared] + bytes(data[position:key_end])
        if keys and new_key <= key:
            raise CheckpointFormatError(
                f"offset {start} of the block: the key {new_key!r} comes after {key!r}, and keys "
                "should ascend"
            )
        key = new_key
        keys.append(key)
        spans.append((key_end, value_end))
        position = value_end
    misplaced = set(restarts) - complete - (set() if keys else {0})
    if misplaced:
        raise CheckpointFormatError(
            f"no entry with a complete key starts at {sorted(misplaced)[:5]} of the block, where "
            "its restarts should be"
        )
    return Block(data, keys, spans)


def _entry_lengths(data: Buffer, position: int, end: int) -> tuple[int, int, int, int]:
    """The three lengths at the head of an entry, and the position after them."""
    if position + 3 <= end:
        shared, rest, value_size = data[position], data[position + 1], data[position + 2]
        if shared < 0x80 and rest < 0x80 and value_size < 0x80:  # almost all
            return shared, rest, value_size, position + 3
    shared, position = read_varint(data, position, end)
    rest, position = read_varint(data, position, end)
    value_size, position = read_varint(data, position, end)
    return shared, rest, value_size, position


def _restarts(data: Buffer) -> tuple[list[int], int]:
    """The restarts' offsets, and where they start in the block."""
    size = len(data)
    count = int.from_bytes(data[-4:], "little") if size >= 4 else 0
    start = size - 4 * (count + 1)
    if start < 0:
        raise CheckpointFormatError(f"a block of {size} bytes can't hold {count} restarts")
    return np.frombuffer(data, "<u4", count, start).tolist() if count else [], start
