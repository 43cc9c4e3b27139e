"""Names and numbers of TensorFlow's checkpoints, for reading and writing alike.

Sources: ``tensorflow/core/lib/io/format.{h,cc}`` (the table, which is LevelDB's),
``core/framework/types.proto`` (numbers of the dtypes), ``core/protobuf/tensor_bundle.proto`` and
``core/util/tensor_bundle/naming.cc`` (the V2 bundle).
"""

from __future__ import annotations

import numpy as np

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
