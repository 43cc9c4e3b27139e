"""Frozen graphs (``frozen_inference_graph.pb``): graphs whose constants were variables.

Facts: ``tensorflow/core/framework/{graph,node_def,attr_value,tensor}.proto``, and
``python/framework/convert_to_constants.py``: a variable becomes a ``Const`` under its own name, and
what read it an ``Identity``. The file has no checksums: what can be checked are all lengths, and
each constant's size against its shape.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from typing import Iterator, NamedTuple

import numpy as np

from mmseg_deeplab_ext.checkpoints.storage.context import errors_at
from mmseg_deeplab_ext.checkpoints.storage.dtypes import (
    ElementType,
    as_returned,
    count_elements,
    element_type,
)
from mmseg_deeplab_ext.checkpoints.storage.files import CheckpointFile
from mmseg_deeplab_ext.checkpoints.storage.messages import parse_shape
from mmseg_deeplab_ext.checkpoints.storage.tensor_proto import decode_repeating_values
from mmseg_deeplab_ext.checkpoints.storage.wire import (
    LENGTH,
    VARINT,
    Buffer,
    read_fields,
    text,
)
from mmseg_deeplab_ext.errors import CheckpointFormatError
from mmseg_deeplab_ext.wording import listed

# Fields that are read of each message.
_GRAPH = {1: LENGTH}  # nodes
_NODE = {1: LENGTH, 2: LENGTH, 3: LENGTH, 5: LENGTH}  # name, operation, inputs, attributes
_ATTRIBUTE = {1: LENGTH, 2: LENGTH}  # key, value
_VALUE = {8: LENGTH}  # a tensor
_TENSOR = {1: VARINT, 2: LENGTH, 4: LENGTH}  # type, shape, content

_READERS = re.compile(r"(.*/)?(read|ReadVariableOp(_\d+)?)")
"""Names of the ``Identity`` that reads a variable, of both kinds of variables."""
_PARAMETERS = {
    **dict.fromkeys(("Conv2D", "DepthwiseConv2dNative", "BiasAdd"), (1,)),
    **dict.fromkeys(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"), (1, 2, 3, 4)),
}
"""Operation -> its inputs that are weights: constants, where a tool took out what reads them."""
_ADDED = re.compile(r"(/read)?(/_\d+__cf__\d+)?$")
"""What TensorFlow's folding of constants adds to the name of a variable."""


class _Constant(NamedTuple):
    """Where in the file a TensorProto is, and its content, where that is raw bytes."""

    dtype: int
    shape: tuple[int, ...]
    span: tuple[int, int]
    content: tuple[int, int] | None


class _Node(NamedTuple):
    name: str
    operation: str
    inputs: list[str]
    attributes: list[tuple[int, int]]


class _Graph(NamedTuple):
    """What is looked at of a graph.

    Attributes:
        constants: all of them, by the names of their nodes.
        read: names of the nodes that something reads as a weight, in the order of the file.
        operations: how many nodes have each.
    """

    constants: dict[str, _Constant]
    read: list[str]
    operations: Counter[str]

    @classmethod
    def parse(cls, data: Buffer) -> _Graph:
        """Read a GraphDef, but for the values in it."""
        graph = cls({}, [], Counter())
        names: set[str] = set()
        for node in _nodes(data):
            if node.name in names:
                raise CheckpointFormatError(f"the node {node.name!r} is there twice")
            names.add(node.name)
            graph.operations[node.operation] += 1
            if node.operation == "Const":
                with errors_at(f"constant {node.name!r}"):
                    graph.constants[node.name] = _constant(data, node)
            elif node.operation == "Identity" and _READERS.fullmatch(node.name):
                graph.read.extend(node.inputs[:1])
            else:
                places = _PARAMETERS.get(node.operation, ())
                graph.read.extend(node.inputs[n] for n in places if n < len(node.inputs))
        return graph

    def variables(self) -> dict[str, _Constant]:
        """The constants that are weights, by the names of the variables they were."""
        found: dict[str, _Constant] = {}
        for name in dict.fromkeys(self.read):
            if name in self.constants:
                variable = _ADDED.sub("", name)
                if variable in found:
                    raise CheckpointFormatError(f"the variable {variable!r} is there twice")
                found[variable] = self.constants[name]
        if not found:
            counts = [f"{name} ({count})" for name, count in self.operations.most_common()]
            raise CheckpointFormatError(
                "no constant of the graph is the weight of a convolution or a batch norm: it is "
                "not frozen, or its weights were made integers; its operations are "
                f"{listed(counts) or 'none'}"
            )
        return found


class FrozenGraph:
    """An open frozen graph; its variables are those constants that are weights.

    Args:
        path: the file.
        label: how messages name it.
    """

    format = "frozen graph"

    def __init__(self, path: str, label: str) -> None:
        self._label = label
        self._file = CheckpointFile(path, label)
        try:
            with errors_at(f"{label}: no frozen graph (GraphDef), or a damaged one"):
                # Mapped: of the values, which are almost all of the file, nothing is read here.
                graph = _Graph.parse(self._file.view(0, self._file.size).data)
            with errors_at(label):
                self.names = graph.variables()
        except BaseException:
            self._file.close()
            raise

    def type_and_shape(self, name: str) -> tuple[ElementType, tuple[int, ...]]:
        """Element type and shape of a tensor."""
        constant = self.names[name]
        with errors_at(f"{self._label}: constant {name!r}"):
            return element_type(constant.dtype), constant.shape

    def read(self, name: str) -> np.ndarray:
        """Read a tensor into memory of its own."""
        constant = self.names[name]
        kind, shape = self.type_and_shape(name)
        with errors_at(f"{self._label}: constant {name!r}"):
            if constant.content is None:
                start, end = constant.span
                record = self._file.read(start, end - start).data
                count = count_elements(shape)
                values = decode_repeating_values(record, (0, len(record)), kind, count)
                return as_returned(values, kind).reshape(shape)
            start, size = self._content(constant, kind)
            array = np.empty(shape, kind.stored)
            self._file.read_into(array.reshape(-1).view(np.uint8), start)
            if sys.byteorder == "big":
                array.byteswap(inplace=True)
            return as_returned(array, kind)

    def view(self, name: str) -> np.ndarray | None:
        """A tensor on mapped memory, or None where its bytes can't be used as they are."""
        constant = self.names[name]
        kind, shape = self.type_and_shape(name)
        with errors_at(f"{self._label}: constant {name!r}"):
            if constant.content is None or kind.stored != kind.returned or sys.byteorder == "big":
                return None
            start, size = self._content(constant, kind)
            if start % kind.stored.alignment:
                return None
            raw = self._file.view(start, size)
            return as_returned(raw.view(kind.stored), kind).reshape(shape)

    def _content(self, constant: _Constant, kind: ElementType) -> tuple[int, int]:
        """Start and size of a constant's raw bytes, as many as its shape takes."""
        start, end = constant.content or (0, 0)
        expected = count_elements(constant.shape) * kind.stored.itemsize
        if end - start != expected or kind.is_string:
            raise CheckpointFormatError(
                f"the shape {list(constant.shape)} of {kind.stored} takes {expected} bytes, and "
                f"there are {end - start} (at offset {start})"
            )
        return start, expected

    def close(self) -> None:
        """Close the file; views that were handed out stay valid."""
        self._file.close()


def _nodes(data: Buffer) -> Iterator[_Node]:
    for _, first, last in read_fields(data, 0, len(data), _GRAPH):
        name, operation = "", ""
        inputs: list[str] = []
        attributes = []
        for number, start, end in read_fields(data, first, last, _NODE):
            if number == 5:
                attributes.append((start, end))
                continue
            found = text(data[start:end])
            if number == 1:
                name = found
            elif number == 2:
                operation = found
            else:
                inputs.append(found[:-2] if found.endswith(":0") else found)
        if not name or not operation:
            raise CheckpointFormatError(f"the node at offset {first} has no name or no operation")
        yield _Node(name, operation, inputs, attributes)


def _constant(data: Buffer, node: _Node) -> _Constant:
    for first, last in node.attributes:
        key, value = "", (0, 0)
        for number, start, end in read_fields(data, first, last, _ATTRIBUTE):
            if number == 1:
                key = text(data[start:end])
            else:
                value = start, end
        if key == "value":
            for _, start, end in read_fields(data, *value, _VALUE):
                return _tensor(data, start, end)
    raise CheckpointFormatError("it has no value")


def _tensor(data: Buffer, start: int, end: int) -> _Constant:
    dtype = 0
    shape: tuple[int, ...] = ()
    content = None
    for number, first, value in read_fields(data, start, end, _TENSOR):
        if number == 1:
            dtype = value
        elif number == 2:
            shape = parse_shape(bytes(data[first:value]))
        elif value > first:
            content = first, value
    return _Constant(dtype, shape, (start, end), content)
