"""TensorFlow's own reader and writer, for the Python that the variable DEEPLAB_TF_PYTHON names.

python -m tests.support.tensorflow_peer read PREFIX             prints what TensorFlow reads (JSON)
python -m tests.support.tensorflow_peer write PREFIX FUNCTION   writes the tensors of tensors.py
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path

import numpy as np

from tests.support import tensors
from tests.support.processes import run_command

REPO = Path(__file__).resolve().parents[2]
PYTHON = os.environ.get("DEEPLAB_TF_PYTHON")


def describe(value: np.ndarray) -> list:
    """dtype, shape, and digest of all bits of a value (of its elements, for strings)."""
    value = np.asarray(value)
    content = repr(value.tolist()).encode() if value.dtype == object else value.tobytes()
    return [value.dtype.name, list(value.shape), hashlib.sha256(content).hexdigest()]


def read_with_tensorflow(prefix) -> dict[str, list]:
    """What TensorFlow reads from a checkpoint: name -> dtype, shape, digest."""
    return json.loads(_call("read", prefix).stdout)


def write_with_tensorflow(prefix, function: str) -> None:
    """Let TensorFlow write the tensors that a function of tensors.py returns."""
    _call("write", prefix, function)


def _call(*arguments):
    command = (PYTHON, "-m", "tests.support.tensorflow_peer", *arguments)
    return run_command(*command, cwd=REPO, TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="")


def _read(prefix: str) -> dict[str, list]:
    import tensorflow as tf

    reader = tf.train.load_checkpoint(prefix)
    values = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    # A string without dimensions comes as bytes, which NumPy would take for a type of its own.
    return {
        name: describe(np.array(value, object) if isinstance(value, bytes) else value)
        for name, value in values.items()
    }


def _write(prefix: str, function: str) -> None:
    import tensorflow as tf

    values = getattr(tensors, function)()
    names = sorted(values)  # as tf.train.Saver does
    constants = [tf.constant(values[name], _tf_dtype(tf, values[name])) for name in names]
    tf.raw_ops.SaveV2(
        prefix=prefix, tensor_names=names, shape_and_slices=[""] * len(names), tensors=constants
    )


def _tf_dtype(tf, value: np.ndarray):
    return tf.string if value.dtype == object else tf.as_dtype(value.dtype)


if __name__ == "__main__":
    if sys.argv[1] == "read":
        print(json.dumps(_read(sys.argv[2])))
    else:
        _write(*sys.argv[2:])
