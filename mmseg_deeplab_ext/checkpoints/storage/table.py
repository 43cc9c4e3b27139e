"""The sorted-string-table file of LevelDB: a V2 checkpoint's index, and all of a V1 checkpoint.

Facts: ``table/format.cc``, ``table/block.cc`` of LevelDB, which TensorFlow copied to
``tensorflow/core/lib/io``. At the end of the file stands a footer of 48 bytes; it refers to an
index block, and this to the data blocks, which hold the sorted keys and their values.
"""

from __future__ import annotations

import bisect
from typing import Iterator

from mmseg_deeplab_ext.checkpoints.storage import snappy
from mmseg_deeplab_ext.checkpoints.storage.block import Block, parse_block
from mmseg_deeplab_ext.checkpoints.storage.checksum import check_bytes
from mmseg_deeplab_ext.checkpoints.storage.context import errors_at
from mmseg_deeplab_ext.checkpoints.storage.files import CheckpointFile
from mmseg_deeplab_ext.checkpoints.storage.format import (
    BLOCK_TRAILER_SIZE,
    FOOTER_SIZE,
    NO_COMPRESSION,
    SNAPPY_COMPRESSION,
    Footer,
    Handle,
)
from mmseg_deeplab_ext.checkpoints.storage.wire import Buffer
from mmseg_deeplab_ext.errors import CheckpointFormatError, CheckpointUnsupportedError

# A larger block holds one large tensor (blocks are closed at 256 KiB): not kept for the next one.
_LARGEST_KEPT = 1 << 20


class Table:
    """The keys and values of a table file. Whoever opened the file closes it.

    Args:
        file: the file.
    """

    def __init__(self, file: CheckpointFile) -> None:
        self._file = file
        self._kept: tuple[int, Block] | None = None
        with errors_at(file.label):
            metaindex, index = self._read_footer()
            block = self._read_block(index)
            self._handles = [Handle.parse(bytes(value)) for _, value in block.items()]
            self._last_keys = block.keys
            for handle in (*self._handles, metaindex, index):
                self._check_inside(handle)
            _check_apart([*self._handles, *sorted([metaindex, index])])

    def _read_footer(self) -> Footer:
        start = self._file.size - FOOTER_SIZE
        if start < 0:
            raise CheckpointFormatError(
                f"the file has {self._file.size} bytes; a table's footer alone has {FOOTER_SIZE}"
            )
        with errors_at(f"offset {start} (footer)"):
            return Footer.parse(self._file.read(start, FOOTER_SIZE).tobytes())

    def _check_inside(self, handle: Handle) -> None:
        end_of_blocks = self._file.size - FOOTER_SIZE
        if handle.end > end_of_blocks:
            raise CheckpointFormatError(
                f"offset {handle.offset}: a block of {handle.size} bytes ends after the last "
                f"place for blocks, {end_of_blocks}"
            )

    def _read_block(self, handle: Handle) -> Block:
        self._check_inside(handle)
        data = self._file.read(handle.offset, handle.size + BLOCK_TRAILER_SIZE)
        with errors_at(f"offset {handle.offset} (block of {handle.size} bytes)"):
            stored = int.from_bytes(data[-4:].tobytes(), "little")
            check_bytes(data[:-4], stored, "content")
            compression = int(data[-5])
            # Bytes are faster to parse, and views save a copy.
            large = handle.size > _LARGEST_KEPT
            content: Buffer = data[:-5].data if large else data[:-5].tobytes()
            if compression == SNAPPY_COMPRESSION:
                content = snappy.decompress(content)
            elif compression != NO_COMPRESSION:
                raise CheckpointUnsupportedError(
                    f"compression {compression}; supported are {NO_COMPRESSION} (none) and "
                    f"{SNAPPY_COMPRESSION} (Snappy)"
                )
            return parse_block(content)

    def _block(self, number: int) -> Block:
        if self._kept is not None and self._kept[0] == number:
            return self._kept[1]
        block = self._read_block(self._handles[number])
        before = self._last_keys[number - 1] if number else None
        if not block.keys:
            raise CheckpointFormatError(
                f"offset {self._handles[number].offset}: a block without entries"
            )
        if block.keys[-1] > self._last_keys[number] or (
            before is not None and block.keys[0] <= before
        ):
            raise CheckpointFormatError(
                f"offset {self._handles[number].offset}: the block's keys {block.keys[0]!r} to "
                f"{block.keys[-1]!r} are not between those that the index gives, {before!r} "
                f"(excluded) and {self._last_keys[number]!r}"
            )
        if self._handles[number].size <= _LARGEST_KEPT:
            self._kept = (number, block)
        return block

    def items(self) -> Iterator[tuple[bytes, Buffer]]:
        """All keys and values, in the order of the keys."""
        for number in range(len(self._handles)):
            with errors_at(self._file.label):
                block = self._block(number)
            yield from block.items()

    def find(self, key: bytes) -> Buffer | None:
        """The value of a key, or None where the table has none."""
        number = bisect.bisect_left(self._last_keys, key)
        if number == len(self._handles):
            return None
        with errors_at(self._file.label):
            return self._block(number).find(key)

    def offset_of(self, key: bytes) -> int:
        """Offset of the block that has a key, or would have it."""
        number = bisect.bisect_left(self._last_keys, key)
        return self._handles[min(number, len(self._handles) - 1)].offset


def _check_apart(handles: list[Handle]) -> None:
    """See that each block starts after the one before it: writers append.

    This excludes overlaps, and two references to one block.
    """
    end = 0
    for handle in handles:
        if handle.offset < end:
            raise CheckpointFormatError(
                f"offset {handle.offset}: a block of {handle.size} bytes starts inside or before "
                f"another one, which ends at {end}"
            )
        end = handle.end
