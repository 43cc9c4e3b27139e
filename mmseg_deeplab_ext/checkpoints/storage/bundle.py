"""V2 checkpoints: an index (a table) and one or many files of raw data.

Facts: ``tensorflow/core/util/tensor_bundle/tensor_bundle.cc``.
"""

from __future__ import annotations

import sys
import threading

import numpy as np

from mmseg_deeplab_ext.checkpoints.storage.checksum import check_bytes
from mmseg_deeplab_ext.checkpoints.storage.context import errors_at
from mmseg_deeplab_ext.checkpoints.storage.dtypes import (
    ElementType,
    as_returned,
    count_elements,
    element_type,
)
from mmseg_deeplab_ext.checkpoints.storage.files import CheckpointFile
from mmseg_deeplab_ext.checkpoints.storage.format import HEADER_KEY, index_path, shard_path
from mmseg_deeplab_ext.checkpoints.storage.messages import (
    BundleEntry,
    BundleHeader,
)
from mmseg_deeplab_ext.checkpoints.storage.slices import (
    check_cover,
    place,
    shape_of,
    show,
    slice_key,
)
from mmseg_deeplab_ext.checkpoints.storage.strings import decode_strings
from mmseg_deeplab_ext.checkpoints.storage.table import Table
from mmseg_deeplab_ext.checkpoints.storage.wire import text
from mmseg_deeplab_ext.errors import (
    CheckpointFormatError,
    CheckpointNotFoundError,
)

# Keys of parts of partitioned variables start with this, names of variables never do.
_PART_PREFIX = b"\x00"


class Bundle:
    """An open V2 checkpoint.

    Args:
        prefix: what the paths of its files start with.
        label: how messages name the prefix.
    """

    format = "V2"

    def __init__(self, prefix: str, label: str) -> None:
        self._prefix, self._label = prefix, label
        self._shards: dict[int, CheckpointFile] = {}
        self._lock = threading.Lock()  # for opening shards
        self._index_label = index_path(label)
        with CheckpointFile(index_path(prefix), self._index_label) as file:
            self._records = {key: bytes(value) for key, value in Table(file).items()}
        with errors_at(self._index_label):
            self._header = _header(self._records)
            keys = [key for key in self._records if not key.startswith(_PART_PREFIX)]
            self.names = {text(key): key for key in keys}
        # Parsed when the first is needed: that takes longer than everything before.
        self._entries: dict[bytes, BundleEntry] = {}
        self._checked = False

    def type_and_shape(self, name: str) -> tuple[ElementType, tuple[int, ...]]:
        """Element type and shape of a tensor."""
        with errors_at(f"{self._index_label}: tensor {name!r}"):
            entry = self._entry(self.names[name])
            return element_type(entry.dtype), entry.shape

    def read(self, name: str) -> np.ndarray:
        """Read a tensor into memory of its own."""
        self._check_all()
        entry = self._entry(self.names[name])
        with errors_at(f"{self._label}: tensor {name!r}"):
            if entry.parts:
                return self._read_parts(name, entry)
            return self._read_entry(entry)

    def view(self, name: str) -> np.ndarray | None:
        """A tensor on mapped memory, or None where its bytes can't be used as they are."""
        self._check_all()
        entry = self._entry(self.names[name])
        with errors_at(f"{self._label}: tensor {name!r}"):
            kind = element_type(entry.dtype)
            usable = kind.stored == kind.returned and not kind.is_string and not entry.parts
            if not usable or self._swapped(kind):
                return None
            self._check_size(entry, kind)
            file = self._shard(entry)
            if entry.offset % kind.stored.alignment:
                return None
            with errors_at(f"{file.label}: offset {entry.offset}"):
                raw = file.view(entry.offset, entry.size)
                check_bytes(raw, entry.crc, f"{entry.size} bytes")
                return as_returned(raw.view(kind.stored), kind).reshape(entry.shape)

    def _entry(self, key: bytes) -> BundleEntry:
        """The entry of a tensor or part, parsed once."""
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = BundleEntry.parse(self._records[key])
        return entry

    def _check_all(self) -> None:
        """Check the entries against each other, before the first data are read."""
        if self._checked:
            return
        with errors_at(self._index_label):
            for key in self._records:
                with errors_at(f"entry {key!r}"):
                    self._entry(key)
            _check_apart(self._entries, self._header)
        self._checked = True

    def _swapped(self, kind: ElementType) -> bool:
        return self._header.big_endian != (sys.byteorder == "big") and kind.stored.itemsize > 1

    def _check_size(self, entry: BundleEntry, kind: ElementType) -> None:
        expected = count_elements(entry.shape) * kind.stored.itemsize
        if entry.size != expected:
            raise CheckpointFormatError(
                f"the index gives the shape {list(entry.shape)} of {kind.stored}, which takes "
                f"{expected} bytes, and the size {entry.size} (at offset {entry.offset} of data "
                f"file {entry.shard})"
            )

    def _shard(self, entry: BundleEntry) -> CheckpointFile:
        """The data file that an entry's bytes are in, seen to be long enough."""
        with self._lock:
            if entry.shard not in self._shards:
                self._shards[entry.shard] = self._open_shard(entry.shard)
        self._shards[entry.shard].check_range(entry.offset, entry.size)
        return self._shards[entry.shard]

    def _open_shard(self, number: int) -> CheckpointFile:
        total = self._header.num_shards
        path, label = (shard_path(each, number, total) for each in (self._prefix, self._label))
        try:
            return CheckpointFile(path, label)
        except CheckpointNotFoundError as error:
            raise CheckpointNotFoundError(
                f"one of the checkpoint's {total} data files is missing: {error}"
            ) from error

    def _read_entry(self, entry: BundleEntry) -> np.ndarray:
        kind = element_type(entry.dtype)
        if not kind.is_string:
            self._check_size(entry, kind)
        file = self._shard(entry)
        with errors_at(f"{file.label}: offset {entry.offset}"):
            if kind.is_string:
                return self._read_strings(entry, file)
            array = np.empty(entry.shape, kind.stored)
            raw = array.reshape(-1).view(np.uint8)
            file.read_into(raw, entry.offset)
            check_bytes(raw, entry.crc, f"{entry.size} bytes")
            if self._swapped(kind):
                array.byteswap(inplace=True)
            return as_returned(array, kind)

    def _read_strings(self, entry: BundleEntry, file: CheckpointFile) -> np.ndarray:
        data = file.read(entry.offset, entry.size).tobytes()
        strings = decode_strings(
            data,
            count_elements(entry.shape),
            stored_crc=entry.crc,
            big_endian=self._header.big_endian,
        )
        return strings.reshape(entry.shape)

    def _read_parts(self, name: str, entry: BundleEntry) -> np.ndarray:
        kind = element_type(entry.dtype)
        places = [place(part, entry.shape) for part in entry.parts]
        check_cover(places, entry.shape)
        sources = []
        for part, indices in zip(entry.parts, places):
            source = self._entries.get(slice_key(name, part))
            if source is None:
                raise CheckpointFormatError(f"the index has no entry for the part {show(part)}")
            if source.dtype != entry.dtype or source.shape != shape_of(indices) or source.parts:
                raise CheckpointFormatError(
                    f"the entry for the part {show(part)} gives the shape {list(source.shape)} "
                    f"and element type {source.dtype}; {list(shape_of(indices))} and "
                    f"{entry.dtype} fit the whole"
                )
            if not kind.is_string:
                self._check_size(source, kind)
            self._shard(source)  # memory for the whole is taken once all its bytes are there
            sources.append(source)
        whole = np.empty(entry.shape, kind.returned)
        for source, part, indices in zip(sources, entry.parts, places):
            with errors_at(f"part {show(part)}"):
                whole[indices] = self._read_entry(source)
        return whole

    def close(self) -> None:
        """Close the files; views that were handed out stay valid."""
        for file in self._shards.values():
            file.close()


def _header(records: dict[bytes, bytes]) -> BundleHeader:
    """Take the header out of the records."""
    if HEADER_KEY not in records:
        raise CheckpointFormatError(
            "the first entry should be a header with an empty key; there is none, and so the "
            "file is a table, but no checkpoint's index"
        )
    with errors_at("header"):
        return BundleHeader.parse(records.pop(HEADER_KEY))


def _check_apart(entries: dict[bytes, BundleEntry], header: BundleHeader) -> None:
    """See that no two tensors share bytes, and that no entry refers to an impossible place."""
    used = []
    for key, entry in entries.items():
        if entry.parts:
            continue
        if not (0 <= entry.shard < header.num_shards and entry.offset >= 0 and entry.size >= 0):
            raise CheckpointFormatError(
                f"entry {key!r}: {entry.size} bytes at offset {entry.offset} of data file "
                f"{entry.shard}, of {header.num_shards}"
            )
        if entry.size:
            used.append((entry.shard, entry.offset, entry.size, key))
    used.sort()
    for (shard, offset, size, key), (next_shard, next_offset, _, next_key) in zip(used, used[1:]):
        if shard == next_shard and offset + size > next_offset:
            raise CheckpointFormatError(
                f"entries {key!r} and {next_key!r} overlap: the first ends at {offset + size} of "
                f"data file {shard}, the second starts at {next_offset}"
            )
