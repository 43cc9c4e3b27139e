"""TensorFlow's own reader and writer, for the Python that the variable DEEPLAB_TF_PYTHON names.

python -m tests.support.tensorflow_peer read PREFIX             prints what TensorFlow reads (JSON)
python -m tests.support.tensorflow_peer write PREFIX FUNCTION   writes the tensors of tensors.py
python -m tests.support.tensorflow_peer freeze NPZ GRAPH KIND   freezes a graph with its variables
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


def freeze_with_tensorflow(values, graph, kind: str) -> None:
    """Let TensorFlow build the layers that variables belong to, and freeze the graph.

    Args:
        values: the variables, under slim's names.
        graph: the file to write.
        kind: "reference" or "resource" variables, or "folded": batch norms folded afterwards by
            TensorFlow's own tool.
    """
    arrays = Path(graph).with_suffix(".npz")
    np.savez(arrays, **values)
    _call("freeze", arrays, graph, kind)


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


def _freeze(arrays: str, graph: str, kind: str) -> None:
    import tensorflow as tf
    from tensorflow.python.tools.optimize_for_inference_lib import optimize_for_inference

    with np.load(arrays) as loaded, tf.compat.v1.Session(graph=tf.Graph()) as session:
        variables = {
            name: tf.compat.v1.get_variable(
                name, initializer=loaded[name], use_resource=kind == "resource"
            )
            for name in loaded.files
        }
        outputs = [_layer(tf, variables, name) for name in variables if name.endswith("weights")]
        tf.add_n(outputs, name="output")
        session.run(tf.compat.v1.global_variables_initializer())
        frozen = tf.compat.v1.graph_util.convert_variables_to_constants(
            session, session.graph_def, ["output"]
        )
    if kind == "folded":
        frozen = optimize_for_inference(frozen, [], ["output"], tf.float32.as_datatype_enum)
    Path(graph).write_bytes(frozen.SerializeToString())


def _layer(tf, variables: dict, name: str):
    """A number that a convolution, its bias and its batch norm gave, named as slim names them."""
    scope = name.rpartition("/")[0]
    kernel = variables[name]
    image = tf.zeros([1, 4, 4, kernel.shape[2]], name=f"{scope}/input")
    if name.endswith("depthwise_weights"):
        result = tf.nn.depthwise_conv2d(image, kernel, [1] * 4, "SAME", name=f"{scope}/depthwise")
    else:
        result = tf.nn.conv2d(image, kernel, 1, "SAME", name=f"{scope}/Conv2D")
    if f"{scope}/biases" in variables:
        result = tf.nn.bias_add(result, variables[f"{scope}/biases"], name=f"{scope}/BiasAdd")
    if f"{scope}/BatchNorm/gamma" in variables:
        names = ("gamma", "beta", "moving_mean", "moving_variance")
        result, _, _ = tf.compat.v1.nn.fused_batch_norm(
            result,
            *(variables[f"{scope}/BatchNorm/{each}"] for each in names),
            epsilon=1e-3,
            is_training=False,
            name=f"{scope}/BatchNorm/FusedBatchNorm",
        )
    return tf.reduce_sum(result)


def _tf_dtype(tf, value: np.ndarray):
    return tf.string if value.dtype == object else tf.as_dtype(value.dtype)


if __name__ == "__main__":
    if sys.argv[1] == "read":
        print(json.dumps(_read(sys.argv[2])))
    else:
        {"write": _write, "freeze": _freeze}[sys.argv[1]](*sys.argv[2:])
