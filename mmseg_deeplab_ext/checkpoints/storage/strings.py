"""String tensors of V2 checkpoints.

Facts: ``WriteStringTensor`` and ``ReadStringTensor`` of
``tensorflow/core/util/tensor_bundle/tensor_bundle.cc``. In the file: the lengths as varints, the
checksum of the lengths, all strings. Checksums are over the lengths as integers of 32 bits (64, if
they need it) in the writer's byte order.
"""

from __future__ import annotations

import struct

import numpy as np
from crc32c import crc32c

from mmseg_deeplab_ext.checkpoints.storage.checksum import check_crc
from mmseg_deeplab_ext.checkpoints.storage.format import masked
from mmseg_deeplab_ext.checkpoints.storage.wire import read_varint, varint
from mmseg_deeplab_ext.errors import CheckpointFormatError

_UINT32_MAX = 0xFFFFFFFF
_CHECKSUM_SIZE = 4


def decode_strings(data: bytes, count: int, *, stored_crc: int, big_endian: bool) -> np.ndarray:
    """Decode a string tensor.

    Args:
        data: the tensor's bytes.
        count: number of strings.
        stored_crc: masked checksum of all of them.
        big_endian: byte order of the machine that wrote them.

    Returns:
        Object array [count] of bytes.
    """
    size = len(data)
    # Each length takes at least a byte: what is allocated has been seen.
    if size < count + _CHECKSUM_SIZE:
        raise CheckpointFormatError(
            f"{size} bytes can't hold {count} strings, their lengths and {_CHECKSUM_SIZE} bytes "
            "of checksum"
        )
    lengths, position = _read_lengths(data, count)
    order = ">" if big_endian else "<"
    crc = crc32c(lengths_as_checksummed(lengths, order))
    checksum = data[position : position + _CHECKSUM_SIZE]
    start = position + _CHECKSUM_SIZE
    if start + sum(lengths) != size:
        raise CheckpointFormatError(
            f"{count} strings of {sum(lengths)} bytes start at {start} of {size} bytes; they "
            "should end there"
        )
    (stored_lengths_crc,) = struct.unpack(f"{order}I", checksum)
    check_crc(crc, stored_lengths_crc, "lengths of the strings")
    check_crc(crc32c(data[start:], crc32c(checksum, crc)), stored_crc, "strings")
    strings = np.empty(count, object)
    for number, length in enumerate(lengths):
        strings[number] = data[start : start + length]
        start += length
    return strings


def _read_lengths(data: bytes, count: int) -> tuple[list[int], int]:
    lengths = []
    position = 0
    for _ in range(count):
        length, position = read_varint(data, position, len(data) - _CHECKSUM_SIZE)
        lengths.append(length)
    return lengths, position


def encode_lengths(lengths: list[int]) -> tuple[bytes, int]:
    """What stands before the strings (little-endian), and the CRC-32C that theirs goes on from."""
    crc = crc32c(lengths_as_checksummed(lengths, "<"))
    checksum = struct.pack("<I", masked(crc))
    return b"".join(map(varint, lengths)) + checksum, crc32c(checksum, crc)


def lengths_as_checksummed(lengths: list[int], order: str) -> bytes:
    """The lengths as TensorFlow adds them to the checksum: 32 bits, or 64 where 32 are too few."""
    if all(length <= _UINT32_MAX for length in lengths):
        return struct.pack(f"{order}{len(lengths)}I", *lengths)
    return b"".join(
        struct.pack(f"{order}{'I' if length <= _UINT32_MAX else 'Q'}", length) for length in lengths
    )
