"""Writes sorted string tables, byte for byte as TensorFlow's ``table::TableBuilder`` does.

Sources: ``tensorflow/core/lib/io/{table_builder,block_builder,table_options}.{h,cc}``; TensorFlow
writes the index of a V2 bundle with the default options and without compression.
"""

from __future__ import annotations

import struct
from typing import Iterable

from crc32c import crc32c

from mmseg_deeplab_ext.checkpoints.storage.format import (
    NO_COMPRESSION,
    Footer,
    Handle,
    masked,
)
from mmseg_deeplab_ext.checkpoints.storage.wire import varint

BLOCK_SIZE = 262144
"""A data block ends with the entry that brings it to this many bytes (``Options::block_size``)."""

RESTART_INTERVAL = 16
"""A data block's every 16th key is stored whole (``Options::block_restart_interval``)."""


def build_table(entries: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Encode a table.

    Args:
        entries: Keys and values, with every key greater than the one before it.

    Returns:
        The content of the file.
    """
    table = bytearray()
    index = _Block(restart_interval=1)
    block = _Block(restart_interval=RESTART_INTERVAL)
    handle = None
    for key, value in entries:
        if handle is not None:
            index.add(_shortest_between(block.last_key, key), handle.encode())
            block, handle = _Block(restart_interval=RESTART_INTERVAL), None
        block.add(key, value)
        if block.size >= BLOCK_SIZE:
            handle = _append_block(table, block)
    if handle is None and block.size > _Block(restart_interval=1).size:
        handle = _append_block(table, block)
    # TensorFlow writes an empty metaindex block: it has no filters.
    metaindex = _append_block(table, _Block(restart_interval=1))
    if handle is not None:
        index.add(_short_successor(block.last_key), handle.encode())
    table += Footer(metaindex, _append_block(table, index)).encode()
    return bytes(table)


class _Block:
    """Entries whose keys are stored without what they share with the key before."""

    def __init__(self, *, restart_interval: int) -> None:
        self.restart_interval = restart_interval
        self.last_key = b""
        self._entries = bytearray()
        self._restarts = [0]
        self._since_restart = 0

    @property
    def size(self) -> int:
        """Bytes of the finished block."""
        return len(self._entries) + 4 * len(self._restarts) + 4

    def add(self, key: bytes, value: bytes) -> None:
        shared = 0
        if self._since_restart < self.restart_interval:
            shared = _shared_length(self.last_key, key)
        else:
            self._restarts.append(len(self._entries))
            self._since_restart = 0
        lengths = varint(shared) + varint(len(key) - shared) + varint(len(value))
        self._entries += lengths + key[shared:] + value
        self.last_key = key
        self._since_restart += 1

    def finish(self) -> bytes:
        restarts = [*self._restarts, len(self._restarts)]
        return bytes(self._entries) + struct.pack(f"<{len(restarts)}I", *restarts)


def _append_block(table: bytearray, block: _Block) -> Handle:
    """Append a block and its trailer; returns the handle that leads to it."""
    content = block.finish() + bytes([NO_COMPRESSION])
    handle = Handle(len(table), len(content) - 1)
    table += content + struct.pack("<I", masked(crc32c(content)))
    return handle


def _shared_length(first: bytes, second: bytes) -> int:
    length = min(len(first), len(second))
    for position in range(length):
        if first[position] != second[position]:
            return position
    return length


def _shortest_between(last: bytes, following: bytes) -> bytes:
    """Shorten a block's last key as long as it stays below the next block's first one."""
    position = _shared_length(last, following)
    if position < len(last) and last[position] + 1 < following[position]:
        return last[:position] + bytes([last[position] + 1])
    return last


def _short_successor(last: bytes) -> bytes:
    """Return a short key that is not less than the last one of all."""
    for position, byte in enumerate(last):
        if byte < 0xFF:
            return last[:position] + bytes([byte + 1])
    return last
