"""Checkpoints written without TensorFlow: equal to TensorFlow's own, whole or not at all."""

import errno
import hashlib
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mmseg_deeplab_ext.checkpoints import open_checkpoint
from mmseg_deeplab_ext.checkpoints.storage import table_writer
from mmseg_deeplab_ext.checkpoints.storage.files import CheckpointFile
from mmseg_deeplab_ext.checkpoints.storage.table import Table
from mmseg_deeplab_ext.checkpoints.writer import write_checkpoint
from mmseg_deeplab_ext.errors import (
    CheckpointError,
    CheckpointNotFoundError,
    CheckpointWriteError,
)
from tests.support.processes import run_python
from tests.support.tensors import every_kind, many_names

REPO = Path(__file__).resolve().parents[2]
# Made by: $DEEPLAB_TF_PYTHON -m tests.support.tensorflow_peer write PREFIX every_kind
BY_TENSORFLOW = REPO / "tests/data/saved_by_tensorflow/every_kind"
SUFFIXES = (".index", ".data-00000-of-00001")
OLD = {"a": np.arange(4, dtype=np.float32), "b": np.array(1, np.int64)}
NEW = {"a": -np.arange(9, dtype=np.float32), "b": np.array(2, np.int64)}


def assert_same(found, expected):
    assert sorted(found) == sorted(expected)
    for name, value in expected.items():
        assert found[name].dtype == value.dtype, name
        assert found[name].shape == value.shape, name
        if value.dtype == object:
            assert found[name].tolist() == value.tolist(), name
        else:
            assert found[name].tobytes() == value.tobytes(), name


def read(prefix):
    with open_checkpoint(prefix) as checkpoint:
        return {name: checkpoint.read(name) for name in checkpoint}


def content(prefix):
    return [Path(f"{prefix}{suffix}").read_bytes() for suffix in SUFFIXES]


@pytest.fixture
def prefix(tmp_path):
    return tmp_path / "model.ckpt"


def test_both_files_equal_those_that_tensorflow_writes_byte_for_byte(prefix):
    write_checkpoint(prefix, every_kind())
    assert content(prefix) == content(BY_TENSORFLOW)


def test_an_index_of_several_blocks_equals_tensorflows_byte_for_byte(prefix):
    write_checkpoint(prefix, many_names())
    index, data = content(prefix)
    assert len(index) > 400_000  # a block ends after 256 KiB
    # The digest of the file by TensorFlow; test_tensorflow_peer.py compares with TensorFlow itself.
    assert hashlib.sha256(index).hexdigest() == (
        "d7bdb69d9061070918da868f4d6ca1a480b1c9b14183e697aebcdac51056add5"
    )
    assert data == b"".join(np.int16([i]).tobytes() for i in range(9000))


@given(st.dictionaries(st.binary(max_size=6), st.binary(max_size=40), max_size=60))
@example({b"": b"", b"\xff": b"x" * 99, b"\xff\xff": b"y" * 99, b"\xff\xff\x00": b"z" * 99})
def test_tables_of_any_keys_and_many_blocks_are_read_back(tmp_path_factory, entries):
    path = tmp_path_factory.mktemp("table") / "table"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table_writer, "BLOCK_SIZE", 100)
        path.write_bytes(table_writer.build_table(sorted(entries.items())))
    with CheckpointFile(str(path)) as file:
        table = Table(file)
        assert [(key, bytes(value)) for key, value in table.items()] == sorted(entries.items())
        for key, value in entries.items():
            assert bytes(table.find(key)) == value


@given(
    st.dictionaries(
        st.text(min_size=1).filter(lambda name: "\0" not in name),
        st.tuples(
            st.sampled_from(["<f4", ">f4", "<f2", ">i8", "|u1", "?"]),
            st.lists(st.integers(0, 4), max_size=4),
        ),
        max_size=40,
    )
)
def test_what_is_written_is_read_back(tmp_path_factory, kinds):
    prefix = tmp_path_factory.mktemp("written") / "model.ckpt"
    random = np.random.default_rng(0)
    tensors = {
        name: random.integers(0, 2, shape).astype(dtype) for name, (dtype, shape) in kinds.items()
    }
    write_checkpoint(prefix, tensors)
    native = {name: value.astype(value.dtype.newbyteorder("=")) for name, value in tensors.items()}
    assert_same(read(prefix), native)


def test_every_kind_of_tensor_is_read_back(prefix):
    write_checkpoint(prefix, every_kind())
    assert_same(read(prefix), every_kind())


def test_values_in_any_layout_are_written_in_c_order_and_little_endian(prefix):
    value = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    locked = value.copy()
    locked.flags.writeable = False
    write_checkpoint(
        prefix,
        {
            "big-endian": value.astype(">f4"),
            "fortran": np.asfortranarray(value),
            "locked": locked,
            "number": np.float64(0.1),
            "reversed": value[:, ::-1, ::2],
            "transposed": value.T,
        },
    )
    expected = dict.fromkeys(("big-endian", "fortran", "locked"), value)
    expected.update(
        number=np.array(0.1), reversed=value[:, ::-1, ::2].copy(), transposed=value.T.copy()
    )
    assert_same(read(prefix), expected)


def test_an_empty_checkpoint_can_be_written(prefix):
    write_checkpoint(prefix, {})
    assert read(prefix) == {}


def test_everything_that_can_not_be_written_is_told_at_once_and_nothing_is_touched(prefix):
    wrong = {
        "": np.zeros(1),
        "date": np.zeros(1, "M8[s]"),
        "fine": np.zeros(1),
        "list": [1.0],
        "long": np.zeros(1, "V3"),
        "null\0": np.zeros(1),
        "objects": np.array([b"x", "y", None], object),
        "surrogate\ud800": np.zeros(1),
        "text": np.array(["x"]),
        3: np.zeros(1),
    }
    with pytest.raises(CheckpointWriteError) as caught:
        write_checkpoint(prefix, wrong)
    lines = str(caught.value).splitlines()
    assert "because of 9 of 10 tensors" in lines[0]
    assert [line.partition(":")[0].strip() for line in lines[1:]] == [
        repr(name) for name in wrong if name != "fine"
    ]
    assert "expected a NumPy array, got list" in str(caught.value)
    assert "must hold bytes (a string tensor), got NoneType, str" in str(caught.value)
    assert "dtype datetime64[s] can't be written; allowed: bool, complex128" in str(caught.value)
    assert list(prefix.parent.iterdir()) == []


def test_of_many_that_can_not_be_written_the_first_ones_are_told(prefix):
    with pytest.raises(
        CheckpointWriteError, match=r"of 99 of 99 tensors:(\n.*){10}\n  and 89 more$"
    ):
        write_checkpoint(prefix, dict.fromkeys(map(str, range(99))))


def test_a_tilde_is_the_home_folder_as_it_is_for_reading(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write_checkpoint("~/model.ckpt", NEW)
    assert_same(read("~/model.ckpt"), NEW)
    assert (tmp_path / "model.ckpt.index").exists()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_existing_checkpoint_is_refused_and_left_as_it_is(prefix, suffix):
    Path(f"{prefix}{suffix}").write_text("old")
    with pytest.raises(CheckpointWriteError, match=rf"model\.ckpt{suffix} exists.*--force"):
        write_checkpoint(prefix, NEW)
    assert [path.read_text() for path in prefix.parent.iterdir()] == ["old"]


def test_an_existing_checkpoint_is_replaced_on_request(prefix):
    write_checkpoint(prefix, OLD)
    write_checkpoint(prefix, NEW, overwrite=True)
    assert_same(read(prefix), NEW)
    assert len(list(prefix.parent.iterdir())) == 2


def test_a_folder_that_does_not_exist_is_named(prefix):
    with pytest.raises(CheckpointWriteError, match=r"the folder .*none does not exist"):
        write_checkpoint(prefix.parent / "none" / "model.ckpt", NEW)


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch])
def test_a_prefix_that_leads_elsewhere_when_it_is_opened_is_refused(prefix, make):
    make(prefix)
    with pytest.raises(CheckpointWriteError, match="is a file or folder"):
        write_checkpoint(prefix, NEW, overwrite=True)


class Failing(dict):
    """Tensors of which one can't be had when it is to be written."""

    asked = 0

    def __getitem__(self, name):
        if name == "b":
            self.asked += 1
            if self.asked > 1:
                raise KeyboardInterrupt
        return super().__getitem__(name)


def test_an_interrupted_writing_leaves_nothing_behind(prefix):
    with pytest.raises(KeyboardInterrupt):
        write_checkpoint(prefix, Failing(NEW))
    assert list(prefix.parent.iterdir()) == []


def test_a_full_disk_is_an_error_of_ours_that_leaves_the_old_checkpoint_alone(prefix, monkeypatch):
    write_checkpoint(prefix, OLD)
    before = content(prefix)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointWriteError, match="can't be written: .*No space left"):
        write_checkpoint(prefix, NEW, overwrite=True)
    assert content(prefix) == before
    assert len(list(prefix.parent.iterdir())) == 2


# Ends the process, as a kill does, at the given one of the calls that touch the files.
KILLED = """
import os
import numpy as np
from mmseg_deeplab_ext.checkpoints.writer import write_checkpoint

left = {number}
def dying(call):
    def counted(*args, **kwargs):
        global left
        left -= 1
        if left < 0:
            os._exit(9)
        return call(*args, **kwargs)
    return counted

for name in ("fsync", "replace", "unlink"):
    setattr(os, name, dying(getattr(os, name)))
new = {{"a": -np.arange(9, dtype=np.float32), "b": np.array(2, np.int64)}}
write_checkpoint({prefix!r}, new, overwrite=True)
"""


@pytest.mark.parametrize("number", range(5))
def test_a_killed_writing_leaves_the_old_checkpoint_or_none_and_the_next_one_cleans_up(
    prefix, number
):
    write_checkpoint(prefix, OLD)
    run_python(KILLED.format(number=number, prefix=str(prefix)), cwd=REPO, code=9)
    if number < 3:
        assert_same(read(prefix), OLD)
    else:
        with pytest.raises(CheckpointNotFoundError):
            open_checkpoint(prefix)
    assert len(list(prefix.parent.iterdir())) > (1 if number > 2 else 2)
    write_checkpoint(prefix, NEW, overwrite=True)
    assert_same(read(prefix), NEW)
    assert len(list(prefix.parent.iterdir())) == 2


def test_an_index_with_the_data_of_another_checkpoint_is_not_read_in_silence(prefix):
    other = prefix.with_name("other")
    write_checkpoint(prefix, OLD)
    write_checkpoint(other, {"a": OLD["a"] + 1, "b": OLD["b"]})
    os.replace(f"{other}{SUFFIXES[1]}", f"{prefix}{SUFFIXES[1]}")
    with open_checkpoint(prefix) as checkpoint, pytest.raises(CheckpointError, match="'a'"):
        checkpoint.read("a")


def test_no_more_than_one_tensor_is_copied_at_a_time(prefix):
    tensors = {f"w{i}": np.ones((512, 512), np.float32).T for i in range(8)}
    size = tensors["w0"].nbytes
    tracemalloc.start()
    write_checkpoint(prefix, tensors)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.5 * size
