"""The checkpoints that TensorFlow wrote for these tests, what it reads from them, and copies."""

import os
import shutil
from pathlib import Path

import numpy as np

FIXTURES = Path(__file__).parents[1] / "data" / "tf_checkpoints"
NAMES = ("v2", "v2_sharded", "v1.ckpt", "v1_sharded", "objects")
SHARED = Path(
    os.environ.get("TF_CHECKPOINTS", Path(__file__).parents[3] / "shared" / "tf_checkpoints")
)


def expected(name):
    """{tensor name: value} as TensorFlow restored them when it wrote the fixture."""
    values, strings = {}, {}
    with np.load(FIXTURES / f"{name}.npz") as arrays:
        for key in arrays.files:
            if key.endswith(":strings"):
                strings[key.rpartition(":")[0]] = arrays[key].tobytes()
            elif not key.endswith(":lengths"):
                values[key] = arrays[key]
        for key, joined in strings.items():
            lengths = arrays[f"{key}:lengths"]
            value = np.empty(lengths.size, object)
            for number, end in enumerate(np.cumsum(lengths)):
                value[number] = joined[end - lengths.flat[number] : end]
            values[key] = value.reshape(lengths.shape)
    return values


def assert_same(actual, wanted, name):
    """See that arrays are equal bit for bit (NaN, -0.0), in type and in shape."""
    assert isinstance(actual, np.ndarray), name
    assert actual.dtype == wanted.dtype, name
    assert actual.shape == wanted.shape, name
    if wanted.dtype == object:
        assert actual.tolist() == wanted.tolist(), name
    else:
        assert actual.tobytes() == wanted.tobytes(), name


def files_of(name):
    """Paths of the files of a fixture."""
    return sorted(path for path in FIXTURES.glob(f"{name}*") if _belongs(path.name, name))


def _belongs(file, name):
    rest = file[len(name) :]
    return rest in ("", ".index") or rest.startswith((".data-", "-0"))


def copy_fixture(name, folder):
    """Copy a fixture's files into a folder; returns its prefix there."""
    for path in files_of(name):
        shutil.copy(path, folder)
    return Path(folder) / name
