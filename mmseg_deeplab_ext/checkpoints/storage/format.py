"""Names and numbers of TensorFlow's checkpoints, for reading and writing alike.

Sources: ``tensorflow/core/lib/io/format.{h,cc}`` (the table, which is LevelDB's),
``core/framework/types.proto`` (numbers of the dtypes), ``core/protobuf/tensor_bundle.proto`` and
``core/util/tensor_bundle/naming.cc`` (the V2 bundle).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mmseg_deeplab_ext.checkpoints.storage.wire import read_varint, varint
from mmseg_deeplab_ext.errors import CheckpointFormatError

TABLE_MAGIC = 0xDB4775248B80FB57.to_bytes(8, "little")
"""The last bytes of a table."""

FOOTER_SIZE = 48
"""Two handles, filled up with zeros to 40 bytes, then the magic."""

BLOCK_TRAILER_SIZE = 5
"""After each block: a byte for the compression, then the masked checksum of both."""

NO_COMPRESSION = 0
SNAPPY_COMPRESSION = 1

HEADER_KEY = b""
"""Key of the bundle's header; it is the first of all."""

BUNDLE_VERSION = 1
"""``kTensorBundleVersion``: what TensorFlow's writer states as producer."""

LITTLE_ENDIAN = 0
BIG_ENDIAN = 1
"""Values of ``BundleHeaderProto.endianness``."""

DT_STRING = 7
DT_BFLOAT16 = 14

NUMPY_DTYPES: dict[int, np.dtype] = {
    1: np.dtype(np.float32),
    2: np.dtype(np.float64),
    3: np.dtype(np.int32),
    4: np.dtype(np.uint8),
    5: np.dtype(np.int16),
    6: np.dtype(np.int8),
    8: np.dtype(np.complex64),
    9: np.dtype(np.int64),
    10: np.dtype(np.bool_),
    17: np.dtype(np.uint16),
    18: np.dtype(np.complex128),
    19: np.dtype(np.float16),
    22: np.dtype(np.uint32),
    23: np.dtype(np.uint64),
}
"""Numbers of the dtypes whose elements are stored as NumPy has them."""

QUANTISED_DTYPES: dict[int, np.dtype] = {
    11: np.dtype(np.int8),
    12: np.dtype(np.uint8),
    13: np.dtype(np.int32),
    15: np.dtype(np.int16),
    16: np.dtype(np.uint16),
}
"""Numbers of the quantised dtypes, and the integers that they are stored as."""


class Handle(NamedTuple):
    """Where a block lies; ``size`` is without its trailer."""

    offset: int
    size: int

    @property
    def end(self) -> int:
        """Where the next block may start."""
        return self.offset + self.size + BLOCK_TRAILER_SIZE

    @classmethod
    def parse(cls, data: bytes) -> Handle:
        """Read the value of an index block's entry, which is a handle and nothing else."""
        handle, end = cls.read(data, 0)
        if end != len(data):
            raise CheckpointFormatError(
                f"a block's handle has {len(data)} bytes, and its numbers end after {end}"
            )
        return handle

    @classmethod
    def read(cls, data: bytes, position: int) -> tuple[Handle, int]:
        """Read the handle at a position; returns the position after it, too."""
        offset, position = read_varint(data, position, len(data))
        size, position = read_varint(data, position, len(data))
        return cls(offset, size), position

    def encode(self) -> bytes:
        """The handle's bytes."""
        return varint(self.offset) + varint(self.size)


class Footer(NamedTuple):
    """The end of a table: handles of the metaindex block (unused) and the index block."""

    metaindex: Handle
    index_block: Handle

    @classmethod
    def parse(cls, data: bytes) -> Footer:
        """Read the last ``FOOTER_SIZE`` bytes of a file."""
        end = data[-len(TABLE_MAGIC) :]
        if end != TABLE_MAGIC:
            raise CheckpointFormatError(
                f"a table ends with {TABLE_MAGIC.hex()}, and here is {end.hex()}; the file is cut "
                "off, or no checkpoint"
            )
        metaindex, position = Handle.read(data, 0)
        return cls(metaindex, Handle.read(data, position)[0])

    def encode(self) -> bytes:
        """The footer's bytes."""
        handles = self.metaindex.encode() + self.index_block.encode()
        return handles.ljust(FOOTER_SIZE - len(TABLE_MAGIC), b"\0") + TABLE_MAGIC


def masked(checksum: int) -> int:
    """Mask a CRC-32C as the files store it, so that checksums of checksums stay sound.

    LevelDB's ``util/crc32c.h``; TensorFlow's ``core/lib/hash/crc32c.h``.
    """
    return (((checksum >> 15) | (checksum << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def index_path(prefix: str) -> str:
    """Name of a bundle's index file."""
    return f"{prefix}.index"


def shard_path(prefix: str, shard: int, num_shards: int) -> str:
    """Name of one of a bundle's data files."""
    return f"{prefix}.data-{shard:05d}-of-{num_shards:05d}"
