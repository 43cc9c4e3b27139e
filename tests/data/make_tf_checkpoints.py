"""Writes tf_checkpoints/, the reader's fixtures, with TensorFlow (2.15 was used; CPU is enough).

    python tests/data/make_tf_checkpoints.py

Beside each checkpoint lies an .npz with the values as TensorFlow's own operations restore them:
bfloat16 widened to float32; of strings, all bytes in a row, and their lengths. The values are our
own: a few numbers, chosen so that each type's limits and special values are among them.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import tensorflow as tf

FOLDER = Path(__file__).parent / "tf_checkpoints"
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
COMPLEX = ("complex64", "complex128")
FLOATS = ("float16", "float32", "float64")
STRINGS = [[b"", b"a"], ["\u00e9t\u00e9".encode(), b"x" * 300], [b"\x00\xff", b"last"]]


def numbers(dtype, shape=(3, 4)):
    """Limits and special values of a type, then numbers from a seed."""
    dtype = np.dtype(dtype)
    random = np.random.RandomState(dtype.num)
    count = int(np.prod(shape))
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        special = [limits.min, limits.max, 0, 1, limits.max // 2, 127]
        values = np.array(special + [random.randint(0, 100) for _ in range(count)], dtype)
    elif dtype.kind == "c":
        values = (random.randn(count) + 1j * random.randn(count)).astype(dtype)
    else:
        limits = np.finfo(dtype)
        special = [limits.max, limits.tiny, limits.tiny / 4, -0.0, np.inf, -np.inf, np.nan]
        values = np.concatenate([np.array(special, dtype), random.randn(count).astype(dtype)])
    return values[:count].reshape(shape)


def tensors(*, dtypes, bfloat16=False):
    """{name: value} of every kind of tensor."""
    result = {f"types/{dtype}": tf.constant(numbers(dtype)) for dtype in dtypes}
    result["types/bool"] = tf.constant([[True, False, True], [False, False, True]])
    result["types/string"] = tf.constant(STRINGS)
    if bfloat16:
        # Not through the cast of a NaN: what it keeps of the bits is the version's choice.
        bits = np.array([0x0000, 0x8000, 0x3F80, 0xC0A0, 0x7F80, 0x0001, 0x7FC1, 0x1234], np.uint16)
        result["types/bfloat16"] = tf.bitcast(bits.reshape(2, 4), tf.bfloat16)
    result["scalar/float32"] = tf.constant(np.float32(-1.25))
    result["scalar/string"] = tf.constant(b"alone")
    result["empty/float32"] = tf.zeros([0, 5])
    result["empty/string"] = tf.constant([], tf.string, shape=[2, 0])
    result["net/conv1/weights"] = tf.constant(numbers("float32", (3, 3, 2, 4)))
    result["net/conv1/BatchNorm/gamma"] = tf.constant(numbers("float32", (40,)))
    result["global_step"] = tf.constant(np.int64(30000))
    return result


# Name -> (shape, its parts as TensorFlow's Saver describes them: start,length of each axis).
PARTITIONED = {
    "part/rows": ((10, 7), ("0,4:0,7", "4,3:0,7", "7,3:0,7")),
    "part/tiles": ((5, 130), ("0,2:0,65", "0,2:65,65", "2,3:0,65", "2,3:65,65")),
    "part/open": ((70, 3), ("0,65:-", "65,5:-")),
}


def partitioned(dtype):
    """(name, shape and slice, value) of all parts, and {name: value} of the wholes."""
    parts, wholes = [], {}
    for name, (shape, slices) in PARTITIONED.items():
        whole = wholes[name] = numbers(dtype, shape)
        for text in slices:
            index = []
            for axis in text.split(":"):
                start, length = (0, None) if axis == "-" else map(int, axis.split(","))
                index.append(slice(start, None if length is None else start + length))
            sizes = " ".join(map(str, shape))
            parts.append((name, f"{sizes} {text}", tf.constant(whole[tuple(index)])))
    return parts, wholes


def entries(values):
    """(name, shape and slice, value) of tensors that are not partitioned."""
    return [(name, "", value) for name, value in values.items()]


def save_v2(prefix, items):
    """Write a V2 checkpoint of one data file."""
    names, slices, values = zip(*sorted(items, key=lambda item: item[:2]))
    tf.raw_ops.SaveV2(prefix=prefix, tensor_names=names, shape_and_slices=slices, tensors=values)


def save_v1(path, items):
    """Write a V1 file."""
    names, slices, values = zip(*sorted(items, key=lambda item: item[:2]))
    tf.raw_ops.SaveSlices(filename=path, tensor_names=names, shapes_and_slices=slices, data=values)


def save_sharded_v2(prefix, items, count):
    """Write a V2 checkpoint of several data files, as a sharded Saver does."""
    shards = [f"{prefix}_temp/part-{number:05d}-of-{count:05d}" for number in range(count)]
    Path(f"{prefix}_temp").mkdir()
    for number, shard in enumerate(shards):
        save_v2(shard, items[number::count])
    tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=shards, destination_prefix=prefix)


def write_expected(path, values):
    """Write what TensorFlow restores."""
    arrays = {}
    for name, value in values.items():
        if value.dtype == tf.string:
            strings = list(np.asarray(value.numpy(), object).flat)
            arrays[f"{name}:strings"] = np.frombuffer(b"".join(strings), np.uint8)
            arrays[f"{name}:lengths"] = np.array([len(s) for s in strings]).reshape(value.shape)
        else:
            as_numpy = tf.cast(value, tf.float32) if value.dtype == tf.bfloat16 else value
            arrays[name] = as_numpy.numpy()
    np.savez_compressed(path, **arrays)


def restore(path, dtypes, *, v1=False):
    """{name: value} as TensorFlow's operations restore them."""
    restored = {}
    for name, dtype in dtypes.items():
        if v1:
            restored[name] = tf.raw_ops.Restore(file_pattern=path, tensor_name=name, dt=dtype)
        else:
            (restored[name],) = tf.raw_ops.RestoreV2(
                prefix=path, tensor_names=[name], shape_and_slices=[""], dtypes=[dtype]
            )
    return restored


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    at = lambda name: str(FOLDER / name)  # noqa: E731

    values = tensors(dtypes=(*FLOATS, *INTEGERS, *COMPLEX), bfloat16=True)
    parts, wholes = partitioned("float32")
    dtypes = {name: value.dtype for name, value in values.items()}
    dtypes.update(dict.fromkeys(wholes, tf.float32))
    save_v2(at("v2"), entries(values) + parts)
    write_expected(at("v2"), restore(at("v2"), dtypes))
    save_sharded_v2(at("v2_sharded"), entries(values) + parts, 3)
    write_expected(at("v2_sharded"), restore(at("v2_sharded"), dtypes))

    # TensorFlow writes neither bfloat16 nor wide unsigned integers into V1 files.
    integers = [name for name in INTEGERS if name not in ("uint32", "uint64")]
    values = tensors(dtypes=(*FLOATS, *integers, *COMPLEX))
    parts, wholes = partitioned("int32")
    dtypes = {name: value.dtype for name, value in values.items()}
    dtypes.update(dict.fromkeys(wholes, tf.int32))
    items = entries(values) + parts
    save_v1(at("v1.ckpt"), items)
    write_expected(at("v1.ckpt"), restore(at("v1.ckpt"), dtypes, v1=True))
    for number in range(2):
        save_v1(at(f"v1_sharded-{number:05d}-of-00002"), items[number::2])
    pattern = at("v1_sharded-?????-of-00002")
    write_expected(at("v1_sharded"), restore(pattern, dtypes, v1=True))

    class Layer(tf.Module):
        def __init__(self):
            super().__init__()
            self.kernel = tf.Variable(numbers("float32", (2, 3)))
            self.offset = tf.Variable(numbers("float64", (3,)))

    tf.train.Checkpoint(model=Layer(), step=tf.Variable(7, dtype=tf.int64)).write(at("objects"))
    reader = tf.train.load_checkpoint(at("objects"))
    dtypes = reader.get_variable_to_dtype_map()
    write_expected(at("objects"), restore(at("objects"), dtypes))


if __name__ == "__main__":
    main()
