"""The messages in a checkpoint's table.

Facts: ``tensorflow/core/protobuf/tensor_bundle.proto``, ``core/util/saved_tensor_slice.proto``,
``core/framework/{tensor_shape,versions}.proto``. In all of them a field that is absent is zero.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from mmseg_deeplab_ext.checkpoints.storage.dtypes import count_elements
from mmseg_deeplab_ext.checkpoints.storage.format import BIG_ENDIAN, BUNDLE_VERSION, LITTLE_ENDIAN
from mmseg_deeplab_ext.checkpoints.storage.slices import Extent, parse_slice
from mmseg_deeplab_ext.checkpoints.storage.wire import (
    FIXED32,
    LENGTH,
    VARINT,
    Buffer,
    field,
    read_fields,
    text,
)
from mmseg_deeplab_ext.errors import CheckpointFormatError, CheckpointUnsupportedError


class BundleHeader(NamedTuple):
    """BundleHeaderProto: what holds for all tensors of a V2 checkpoint."""

    num_shards: int
    big_endian: bool

    @classmethod
    def parse(cls, data: bytes) -> BundleHeader:
        """Read it; a checkpoint that asks for a newer reader is an error."""
        numbers = {1: 0, 2: LITTLE_ENDIAN}
        for number, start, value in read_fields(data, 0, len(data), _HEADER):
            if number == 3:
                _check_version(data, start, value)
            else:
                numbers[number] = value
        num_shards, endianness = numbers.values()
        if num_shards < 1:
            raise CheckpointFormatError(f"the header gives {num_shards} data files; at least 1 is")
        if endianness not in (LITTLE_ENDIAN, BIG_ENDIAN):
            raise CheckpointFormatError(
                f"the header gives the byte order {endianness}; known are {LITTLE_ENDIAN} (little) "
                f"and {BIG_ENDIAN} (big)"
            )
        return cls(num_shards, endianness == BIG_ENDIAN)

    def encode(self) -> bytes:
        """The message's bytes."""
        endianness = BIG_ENDIAN if self.big_endian else LITTLE_ENDIAN
        version = field(1, BUNDLE_VERSION)
        return field(1, self.num_shards) + field(2, endianness) + field(3, version)


class BundleEntry(NamedTuple):
    """BundleEntryProto: one tensor, or one part of a partitioned one.

    With ``parts`` it is the whole of a partitioned one, and only the type and shape mean something.
    """

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    crc: int
    parts: tuple[tuple[Extent, ...], ...] = ()

    @classmethod
    def parse(cls, data: bytes) -> BundleEntry:
        """Read it; an impossible shape is an error."""
        numbers = {1: 0, 3: 0, 4: 0, 5: 0, 6: 0}
        shape: tuple[int, ...] = ()
        parts = []
        for number, start, value in read_fields(data, 0, len(data), _ENTRY):
            if number == 2:
                shape = parse_shape(data[start:value])
            elif number == 7:
                parts.append(parse_slice(data, start, value))
            else:
                numbers[number] = value
        dtype, shard, offset, size, crc = numbers.values()
        return cls(dtype, shape, shard, offset, size, crc, tuple(parts))

    def encode(self) -> bytes:
        """The message's bytes; only of a tensor without parts."""
        shape = b"".join(field(2, field(1, size)) for size in self.shape)
        place = field(3, self.shard) + field(4, self.offset) + field(5, self.size)
        return field(1, self.dtype) + field(2, shape) + place + field(6, self.crc, kind=FIXED32)


class SliceMeta(NamedTuple):
    """SavedSliceMeta: one tensor of a V1 checkpoint, and its parts (one, if not partitioned)."""

    name: str
    dtype: int
    shape: tuple[int, ...]
    parts: tuple[tuple[Extent, ...], ...]


# Fields that are read of each message.
_HEADER = {1: VARINT, 2: VARINT, 3: LENGTH}  # number of data files, byte order, version
_VERSION = {2: VARINT, 3: VARINT}  # oldest reader, and readers that are excluded
_ENTRY = {1: VARINT, 2: LENGTH, 3: VARINT, 4: VARINT, 5: VARINT, 6: FIXED32, 7: LENGTH}
_SHAPE = {2: LENGTH, 3: VARINT}  # dimensions, and whether even their number is unknown
_SAVED = {1: LENGTH}  # the list of tensors
_SAVED_META = {1: LENGTH, 2: LENGTH}  # tensors, version
_SLICE_META = {1: LENGTH, 2: LENGTH, 3: VARINT, 4: LENGTH}  # name, shape, type, parts


def _check_version(data: Buffer, start: int, end: int) -> None:
    """See that a VersionDef lets this reader read: it knows version 1, the only one so far."""
    for number, _, version in read_fields(data, start, end, _VERSION):
        if number == 2 and version > BUNDLE_VERSION:
            raise CheckpointUnsupportedError(
                f"the checkpoint wants a reader of version {version}; this one is {BUNDLE_VERSION}"
            )
        if number == 3 and version == BUNDLE_VERSION:
            raise CheckpointUnsupportedError(
                f"the checkpoint excludes readers of version {version}"
            )


# Hundreds of variables share few shapes.
@lru_cache(maxsize=256)
def parse_shape(data: bytes) -> tuple[int, ...]:
    """Read a TensorShapeProto."""
    shape = []
    for number, start, value in read_fields(data, 0, len(data), _SHAPE):
        if number == 2:
            sizes = [size for _, _, size in read_fields(data, start, value, {1: VARINT})]
            shape.append(sizes[-1] if sizes else 0)
        elif value:
            raise CheckpointFormatError("a saved tensor should have a shape, and its is unknown")
    count_elements(tuple(shape))
    return tuple(shape)


def parse_slice_metas(data: Buffer) -> list[SliceMeta]:
    """Read the list of tensors of a V1 checkpoint, a SavedTensorSlices with ``meta``."""
    metas = []
    found = list(read_fields(data, 0, len(data), _SAVED))
    if not found:
        raise CheckpointFormatError("the first record lists no tensors")
    for _, first, last in found:
        for number, start, end in read_fields(data, first, last, _SAVED_META):
            if number == 1:
                metas.append(_parse_slice_meta(data, start, end))
            else:
                _check_version(data, start, end)
    return metas


def _parse_slice_meta(data: Buffer, start: int, end: int) -> SliceMeta:
    name, dtype = "", 0
    shape: tuple[int, ...] = ()
    parts = []
    for number, first, value in read_fields(data, start, end, _SLICE_META):
        if number == 1:
            name = text(data[first:value])
        elif number == 2:
            shape = parse_shape(bytes(data[first:value]))
        elif number == 3:
            dtype = value
        else:
            parts.append(parse_slice(data, first, value))
    return SliceMeta(name, dtype, shape, tuple(parts))
