"""V1 checkpoints: tables that hold the tensors themselves.

Facts: ``tensorflow/core/util/tensor_slice_{reader,writer}.cc``. The record under the empty key
lists the tensors and their parts; each part has a record of its own.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import NamedTuple, Sequence

import numpy as np

from mmseg_deeplab_ext.checkpoints.storage.context import errors_at
from mmseg_deeplab_ext.checkpoints.storage.dtypes import (
    ElementType,
    as_returned,
    count_elements,
    element_type,
)
from mmseg_deeplab_ext.checkpoints.storage.files import CheckpointFile
from mmseg_deeplab_ext.checkpoints.storage.format import HEADER_KEY
from mmseg_deeplab_ext.checkpoints.storage.messages import SliceMeta, parse_slice_metas
from mmseg_deeplab_ext.checkpoints.storage.slices import (
    Extent,
    check_cover,
    parse_slice,
    place,
    shape_of,
    show,
    slice_key,
)
from mmseg_deeplab_ext.checkpoints.storage.table import Table
from mmseg_deeplab_ext.checkpoints.storage.tensor_proto import decode_values
from mmseg_deeplab_ext.checkpoints.storage.wire import LENGTH, Buffer, read_fields, text
from mmseg_deeplab_ext.errors import CheckpointFormatError

_SAVED_SLICE = {1: LENGTH, 2: LENGTH, 3: LENGTH}  # name, slice, values


class _Part(NamedTuple):
    """A part of a tensor (the whole, if it is not partitioned), and the table that has it."""

    extents: tuple[Extent, ...]
    table: Table
    label: str


class _Tensor(NamedTuple):
    dtype: int
    shape: tuple[int, ...]
    parts: list[_Part]


class V1Checkpoint:
    """An open V1 checkpoint.

    Args:
        paths: its files: one, or its shards.
        labels: how messages name them.
    """

    format = "V1"

    def __init__(self, paths: Sequence[str], labels: Sequence[str]) -> None:
        self.names: dict[str, _Tensor] = {}
        self._label = labels[0] if len(labels) == 1 else f"{labels[0]} and its other shards"
        with ExitStack() as files:
            for path, label in zip(paths, labels):
                file = files.enter_context(CheckpointFile(path, label))
                table = Table(file)
                with errors_at(label):
                    self._add_tensors(table, label)
            self._files = files.pop_all()

    def _add_tensors(self, table: Table, label: str) -> None:
        record = table.find(HEADER_KEY)
        if record is None:
            raise CheckpointFormatError(
                "the first record should have an empty key and list the tensors; there is none, "
                "and so the file is a table, but no checkpoint"
            )
        seen = set()
        with errors_at("list of tensors"):
            for meta in parse_slice_metas(record):
                if meta.name in seen:
                    raise CheckpointFormatError(f"tensor {meta.name!r} is listed twice")
                seen.add(meta.name)
                self._add_tensor(meta, table, label)

    def _add_tensor(self, meta: SliceMeta, table: Table, label: str) -> None:
        tensor = self.names.setdefault(meta.name, _Tensor(meta.dtype, meta.shape, []))
        if (tensor.dtype, tensor.shape) != (meta.dtype, meta.shape):
            raise CheckpointFormatError(
                f"tensor {meta.name!r} has the shape {list(meta.shape)} and element type "
                f"{meta.dtype}, and in another file {list(tensor.shape)} and {tensor.dtype}"
            )
        tensor.parts.extend(_Part(extents, table, label) for extents in meta.parts)

    def type_and_shape(self, name: str) -> tuple[ElementType, tuple[int, ...]]:
        """Element type and shape of a tensor."""
        tensor = self.names[name]
        with errors_at(f"{self._label}: tensor {name!r}"):
            return element_type(tensor.dtype), tensor.shape

    def view(self, name: str) -> None:
        """No tensor can be used as it lies in the file: values start at any byte."""

    def read(self, name: str) -> np.ndarray:
        """Read a tensor into memory of its own; meanwhile its block is in memory, too."""
        tensor = self.names[name]
        kind, shape = self.type_and_shape(name)
        with errors_at(f"{self._label}: tensor {name!r}"):
            places = [place(part.extents, shape) for part in tensor.parts]
            check_cover(places, shape)
        # A part takes memory in proportion to its record. Only then does the whole take any.
        pieces = []
        for part, indices in zip(tensor.parts, places):
            with errors_at(f"tensor {name!r}, part {show(part.extents)}"):
                pieces.append(_read_part(part, name, kind, shape_of(indices)))
        if len(pieces) == 1:
            return pieces[0]
        whole = np.empty(shape, kind.returned)
        for indices, piece in zip(places, pieces):
            whole[indices] = piece
        return whole

    def close(self) -> None:
        """Close the files."""
        self._files.close()


def _read_part(part: _Part, name: str, kind: ElementType, shape: tuple[int, ...]) -> np.ndarray:
    key = slice_key(name, part.extents)
    record = part.table.find(key)
    with errors_at(f"{part.label}: block at offset {part.table.offset_of(key)}"):
        if record is None:
            raise CheckpointFormatError("the part is listed, and there is no record of it")
        return _decode_part(record, part, name, kind, shape)


def _decode_part(
    record: Buffer, part: _Part, name: str, kind: ElementType, shape: tuple[int, ...]
) -> np.ndarray:
    values = None
    for _, first, last in read_fields(record, 0, len(record), {2: LENGTH}):
        for number, start, end in read_fields(record, first, last, _SAVED_SLICE):
            if number == 1 and text(record[start:end]) != name:
                raise CheckpointFormatError(f"its record is of {text(record[start:end])!r}")
            if number == 2 and parse_slice(record, start, end) != part.extents:
                raise CheckpointFormatError("its record is of another part")
            if number == 3:
                values = decode_values(record, (start, end), kind, count_elements(shape))
    if values is None:
        raise CheckpointFormatError("its record has no values")
    return as_returned(values, kind).reshape(shape)
