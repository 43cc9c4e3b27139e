"""Reading what TensorFlow wrote: values, and how they are handed out."""

import gc
import os
import pickle
import tracemalloc
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from mmseg_deeplab_ext.checkpoints import CheckpointError, open_checkpoint
from tests.support.checkpoint_files import (
    FIXTURES,
    NAMES,
    SHARED,
    assert_same,
    copy_fixture,
    expected,
    files_of,
)


@pytest.fixture(params=NAMES)
def fixture(request):
    return request.param


def test_every_value_is_the_one_that_tensorflow_reads(fixture):
    wanted = expected(fixture)
    with open_checkpoint(FIXTURES / fixture) as checkpoint:
        assert isinstance(checkpoint, Mapping)
        assert sorted(checkpoint) == sorted(wanted)
        assert len(checkpoint) == len(wanted)
        assert checkpoint.format == ("V1" if fixture.startswith("v1") else "V2")
        for name, value in wanted.items():
            assert checkpoint.shape(name) == value.shape
            assert checkpoint.dtype(name) == value.dtype
            assert_same(checkpoint[name], value, name)
            assert_same(checkpoint.read(name), value, name)


def test_read_gives_memory_of_its_own_and_indexing_a_read_only_array(fixture):
    with open_checkpoint(FIXTURES / fixture) as checkpoint:
        for name in checkpoint:
            assert not checkpoint[name].flags.writeable, name
            assert checkpoint[name].flags.aligned, name
            own, again = checkpoint.read(name), checkpoint.read(name)
            assert own.flags.writeable, name
            assert own.flags.c_contiguous, name
            assert own.flags.aligned, name
            assert own.dtype.isnative, name
            assert not np.shares_memory(own, again), name


def test_an_aligned_tensor_is_a_view_on_the_file(tmp_path):
    prefix = copy_fixture("objects", tmp_path)
    with open_checkpoint(prefix) as checkpoint:
        name = "model/kernel/.ATTRIBUTES/VARIABLE_VALUE"
        view = checkpoint[name]
        assert not view.flags.owndata
        assert np.shares_memory(view, checkpoint[name])


def test_object_based_checkpoints_are_named_tensors():
    with open_checkpoint(FIXTURES / "objects") as checkpoint:
        assert checkpoint["step/.ATTRIBUTES/VARIABLE_VALUE"] == 7
        graph = checkpoint["_CHECKPOINTABLE_OBJECT_GRAPH"]
        assert graph.shape == ()
        assert b"VARIABLE_VALUE" in graph[()]


def test_the_keys_of_parts_are_hidden():
    for fixture in ("v2", "v1.ckpt"):
        with open_checkpoint(FIXTURES / fixture) as checkpoint:
            assert not [name for name in checkpoint if "\0" in name]
            assert "part/rows" in checkpoint


def test_names_shapes_and_types_come_from_the_index_alone(tmp_path):
    prefix = copy_fixture("v2", tmp_path)
    os.remove(f"{prefix}.data-00000-of-00001")
    with open_checkpoint(prefix) as checkpoint:
        assert checkpoint.shape("net/conv1/weights") == (3, 3, 2, 4)
        assert checkpoint.dtype("types/bfloat16") == np.float32
        assert checkpoint.dtype("types/string") == np.dtype(object)
        assert "net/conv1/weights" in checkpoint
        assert "net/conv1/weight" not in checkpoint
        assert 3 not in checkpoint
        assert checkpoint.get("net/conv1/weight") is None
        with pytest.raises(CheckpointError, match=r"net/conv1/weights.*missing.*00000-of-00001"):
            checkpoint["net/conv1/weights"]


def test_an_unknown_name_is_a_key_error_that_suggests_near_ones():
    with open_checkpoint(FIXTURES / "v2") as checkpoint:
        for access in (checkpoint.__getitem__, checkpoint.read, checkpoint.shape, checkpoint.dtype):
            with pytest.raises(KeyError, match=r"'net/conv1/weight'; similar: net/conv1/weights"):
                access("net/conv1/weight")


def test_views_outlive_the_checkpoint_and_the_checkpoint_is_done_when_closed(fixture):
    wanted = expected(fixture)
    checkpoint = open_checkpoint(str(FIXTURES / fixture))
    views = {name: checkpoint[name] for name in checkpoint}
    checkpoint.close()
    checkpoint.close()
    for name, value in wanted.items():
        assert_same(views[name], value, name)
    assert "closed" in repr(checkpoint)
    uses = (list, len, lambda c: c["x"], lambda c: c.read("x"), lambda c: "x" in c)
    for use in (*uses, lambda c: c.shape("x"), lambda c: c.dtype("x"), lambda c: c.get("x")):
        with pytest.raises(CheckpointError, match="closed"):
            use(checkpoint)


def test_a_checkpoint_that_is_no_longer_used_closes_its_files():
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("no /proc here")

    def ours():
        """Open files of the checkpoint; what other tests left open may be closed meanwhile."""
        links = (os.path.realpath(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd"))
        return sum(os.path.basename(link).startswith("v2_sharded.") for link in links)

    assert ours() == 0
    checkpoint = open_checkpoint(FIXTURES / "v2_sharded")
    assert [checkpoint.read(name) for name in checkpoint]
    assert ours() == 3
    del checkpoint
    gc.collect()
    assert ours() == 0


def test_checkpoints_compare_and_show_themselves():
    with open_checkpoint(FIXTURES / "v2") as first, open_checkpoint(FIXTURES / "v2") as second:
        assert first == first  # noqa: PLR0124
        assert first != second
        assert len({first, second}) == 2
        assert "V2" in repr(first)
        assert str(FIXTURES / "v2") in repr(first)
        assert first.path == str(FIXTURES / "v2")


def test_reading_takes_the_memory_of_the_tensor_alone(tmp_path):
    from mmseg_deeplab_ext.checkpoints.writer import write_checkpoint

    value = np.arange(1 << 20, dtype=np.float32).reshape(1024, 1024)
    write_checkpoint(tmp_path / "model.ckpt", {"large": value, "slot": value})
    with open_checkpoint(tmp_path / "model.ckpt") as checkpoint:
        checkpoint.shape("large")
        tracemalloc.start()
        try:
            read = checkpoint.read("large")
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert_same(read, value, "large")
    assert peak < value.nbytes * 1.02


def test_a_tensor_that_is_not_asked_for_is_not_read(tmp_path):
    prefix = copy_fixture("v2", tmp_path)
    data = tmp_path / "v2.data-00000-of-00001"
    damaged = bytearray(data.read_bytes())
    wanted = expected("v2")
    start = damaged.index(wanted["net/conv1/weights"].tobytes())
    damaged[start] ^= 1
    data.write_bytes(damaged)
    with open_checkpoint(prefix) as checkpoint:
        for name in set(checkpoint) - {"net/conv1/weights"}:
            assert_same(checkpoint[name], wanted[name], name)
        with pytest.raises(CheckpointError, match="checksum"):
            checkpoint["net/conv1/weights"]


def test_reading_works_where_the_system_can_not_read_at_an_offset(fixture, monkeypatch):
    monkeypatch.delattr(os, "preadv", raising=False)
    with open_checkpoint(FIXTURES / fixture) as checkpoint:
        for name, value in expected(fixture).items():
            assert_same(checkpoint.read(name), value, name)


def test_threads_may_share_a_checkpoint(fixture):
    wanted = expected(fixture)
    with open_checkpoint(FIXTURES / fixture) as checkpoint, ThreadPoolExecutor(4) as threads:
        for _ in range(3):
            values = threads.map(checkpoint.read, wanted)
            for (name, value), found in zip(wanted.items(), values):
                assert_same(found, value, name)


def test_errors_survive_pickling(tmp_path):
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(tmp_path / "none")
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (type(copy), str(copy)) == (type(caught.value), str(caught.value))


def test_the_fixtures_are_small_and_whole():
    assert sum(path.stat().st_size for path in FIXTURES.iterdir()) < 200_000
    assert [len(files_of(name)) for name in NAMES] == [2, 4, 1, 2, 2]


needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason=f"no {SHARED}")


@needs_shared
@pytest.mark.parametrize("name", ["edge2", "edge1", "sh"])
def test_the_small_checkpoints_beside_the_project_are_read_bit_for_bit(name):
    with open_checkpoint(SHARED / "small" / name) as checkpoint:
        with np.load(SHARED / "small" / f"{name}.npz") as arrays:
            wanted = {key.replace("|", "/"): arrays[key] for key in arrays.files}
        assert set(wanted) <= set(checkpoint)
        assert set(checkpoint) - set(wanted) <= {"a/str"}
        for key, value in wanted.items():
            assert_same(checkpoint[key], value, key)
            assert_same(checkpoint.read(key), value, key)
        if "a/str" in checkpoint:
            strings = [[b"hello", b""], [b"x" * 300, b"\x00\xff"]]
            assert checkpoint["a/str"].tolist() == strings


@needs_shared
def test_the_partitioned_v1_variable_beside_the_project_is_assembled():
    with open_checkpoint(SHARED / "small" / "edge1p") as checkpoint:
        wanted = np.load(SHARED / "small" / "edge1p_w.npy")
        assert_same(checkpoint["part/w"], wanted, "part/w")
        assert all(checkpoint.read(name) is not None for name in checkpoint)


@needs_shared
def test_the_three_formats_of_one_network_beside_the_project_are_equal_to_its_values():
    from tests.support.deterministic import value

    for kind in ("v1", "v2", "v2_sharded"):
        with open_checkpoint(SHARED / f"mnv2_dm05_nc21_{kind}" / "model.ckpt") as checkpoint:
            assert len(checkpoint) == 273
            for name in set(checkpoint) - {"global_step"}:
                assert_same(checkpoint.read(name), value(name, checkpoint.shape(name)), name)
