"""Frozen graphs (GraphDef) put together by hand, with whatever is wrong that a test wants."""

import numpy as np

from tests.support.table_files import message, shape_message

DTYPES = {np.dtype(np.float32): 1, np.dtype(np.int32): 3, np.dtype(np.float16): 19}


def tensor(value, *, content=None, shape=None):
    """A TensorProto with raw bytes; ``content`` and ``shape`` claim others than the value's."""
    value = np.asarray(value)
    content = value.tobytes() if content is None else content
    shape = value.shape if shape is None else shape
    return message((1, DTYPES[value.dtype]), (2, shape_message(shape)), (4, content))


def listed_values(shape, *values):
    """A float32 TensorProto with a list of values, perhaps shorter than its shape takes."""
    packed = np.array(values, np.float32).tobytes()
    return message((1, 1), (2, shape_message(shape)), (5, packed))


def node(name, operation, *inputs, value=None):
    """A NodeDef in a GraphDef; ``value`` is the TensorProto of a constant."""
    fields = [(1, name.encode()), (2, operation.encode())]
    fields += [(3, each.encode()) for each in inputs]
    if value is not None:
        fields += [(5, message((1, b"dtype"), (2, message((6, 1)))))]
        fields += [(5, message((1, b"value"), (2, message((8, value)))))]
    return message((1, message(*fields)))


def frozen(variables):
    """A GraphDef in which each variable is a constant under its name, and an Identity reads it.

    Between them stand what a graph has besides: an input, and constants that are no weights.
    """
    nodes = [
        node("ImageTensor", "Placeholder"),
        node("sub/y", "Const", value=tensor(np.float32(1))),
    ]
    for name, value in variables.items():
        nodes.append(node(name, "Const", value=tensor(value)))
        nodes.append(node(f"{name}/read", "Identity", name))
    return b"".join(nodes)
