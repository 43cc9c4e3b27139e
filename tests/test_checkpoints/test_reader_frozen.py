"""Frozen graphs: their constants are read as variables, and damage is a typed error."""

import random
import tracemalloc

import numpy as np
import pytest

from mmseg_deeplab_ext.checkpoints import open_checkpoint
from mmseg_deeplab_ext.errors import CheckpointError, CheckpointFormatError, CheckpointNotFoundError
from tests.fuzz_reader import examine
from tests.support.checkpoint_files import copy_fixture
from tests.support.graph_files import frozen, listed_values, node, tensor
from tests.support.mutations import _change_message, mutate_plain
from tests.support.table_files import message, varint
from tests.test_checkpoints.test_reader_archive import contents, pack

KERNEL = np.arange(3 * 3 * 3 * 4, dtype=np.float32).reshape(3, 3, 3, 4)
VARIABLES = {
    "MobilenetV2/Conv/weights": KERNEL,
    "MobilenetV2/Conv/BatchNorm/gamma": np.linspace(0.5, 2, 4, dtype=np.float32),
    "MobilenetV2/Conv/half": np.array([1, -2, 65504], np.float16),
}
NAME = "MobilenetV2/Conv/weights"


def write(path, graph):
    path.write_bytes(graph)
    return path


@pytest.fixture
def graph(tmp_path):
    return write(tmp_path / "frozen_inference_graph.pb", frozen(VARIABLES))


def test_the_constants_that_were_variables_are_read_bit_for_bit(graph):
    with open_checkpoint(graph) as checkpoint:
        assert checkpoint.format == "frozen graph"
        assert list(checkpoint) == list(VARIABLES)
        for name, value in VARIABLES.items():
            assert checkpoint.shape(name) == value.shape
            assert checkpoint.dtype(name) == value.dtype
            for found in (checkpoint[name], checkpoint.read(name)):
                assert found.dtype == value.dtype
                assert found.tobytes() == value.tobytes()
            assert not checkpoint[name].flags.writeable
            assert checkpoint.read(name).flags.writeable


def test_what_reads_a_variable_may_have_the_names_of_both_kinds_of_variables(tmp_path):
    names = ["a/read", "b/Read/ReadVariableOp", "c/Conv2D/ReadVariableOp_1"]
    nodes = [node(name[0], "Const", value=tensor(KERNEL)) for name in names]
    nodes += [node(name, "Identity", f"{name[0]}:0") for name in names]
    nodes += [node("d", "Const", value=tensor(KERNEL)), node("output", "Identity", "d")]
    with open_checkpoint(write(tmp_path / "g.pb", b"".join(nodes))) as checkpoint:
        assert list(checkpoint) == ["a", "b", "c"]


def test_where_a_tool_took_out_the_readers_the_operations_tell_the_weights(tmp_path):
    nodes = [
        node("x", "Placeholder"),
        node("Conv/weights/read/_3__cf__3", "Const", value=tensor(KERNEL)),
        node("Conv/BatchNorm/gamma", "Const", value=tensor(KERNEL[0, 0, 0])),
        node("size", "Const", value=tensor(np.array([2, 3], np.int32))),
        node("Conv2D", "Conv2D", "x", "Conv/weights/read/_3__cf__3"),
        node("norm", "FusedBatchNorm", "Conv2D", "Conv/BatchNorm/gamma"),
        node("resize", "ResizeBilinear", "norm", "size"),
    ]
    with open_checkpoint(write(tmp_path / "g.pb", b"".join(nodes))) as checkpoint:
        assert list(checkpoint) == ["Conv/weights", "Conv/BatchNorm/gamma"]


@pytest.mark.parametrize(
    ("values", "wanted"),
    [((1, 2, 3, 4), [1, 2, 3, 4]), ((1, 2), [1, 2, 2, 2]), ((5,), [5] * 4), ((), [0] * 4)],
)
def test_values_that_a_list_leaves_out_are_as_the_last(tmp_path, values, wanted):
    nodes = [node("x", "Const", value=listed_values((2, 2), *values))]
    nodes += [node("x/read", "Identity", "x")]
    with open_checkpoint(write(tmp_path / "g.pb", b"".join(nodes))) as checkpoint:
        assert checkpoint["x"].ravel().tolist() == wanted
        assert checkpoint["x"].shape == (2, 2)


HUGE = 1 << 40
CONSTANTS = {
    "content too short": (tensor(KERNEL, content=b"\0" * 8), "takes 432 bytes, and there are 8"),
    "content too long": (tensor(KERNEL, shape=(3,)), "takes 12 bytes, and there are 432"),
    "a shape that is not there": (tensor(KERNEL, shape=(HUGE,)), "and there are 432"),
    "one value for many": (listed_values((HUGE,), 1), "can up to 262144"),
    "too many values": (listed_values((2,), 1, 2, 3), "3 values, and the shape takes 2"),
    "half a value": (message((1, 1), (5, b"\0" * 6)), "holds 1.5 values"),
    "a negative size": (tensor(KERNEL, shape=(-1,)), "negative dimension"),
    "no such type": (message((1, 99), (4, b"\0" * 4)), "element type is 99"),
    "length beyond its message": (varint(4 << 3 | 2) + varint(HUGE), "its message at"),
    "strings as bytes": (message((1, 7), (4, b"abc")), "there are 3"),
}


@pytest.mark.parametrize("case", CONSTANTS)
def test_a_constant_that_contradicts_itself_is_an_error_that_names_it(tmp_path, case):
    value, shown = CONSTANTS[case]
    graph = node("net/x", "Const", value=value) + node("net/x/read", "Identity", "net/x")
    with pytest.raises(CheckpointError) as caught, open_checkpoint(
        write(tmp_path / "g.pb", graph)
    ) as checkpoint:
        checkpoint.read("net/x")
    assert shown in str(caught.value)
    assert "'net/x'" in str(caught.value)
    assert str(tmp_path / "g.pb") in str(caught.value)


GRAPHS = {
    "empty": (b"", "its operations are none"),
    "not frozen": (node("w", "VariableV2"), r"not frozen.*VariableV2 \(1\)"),
    "8-bit": (
        node("w/quantized_const", "Const", value=tensor(KERNEL)) + node("w", "Dequantize", "w"),
        r"weights were made integers.*Dequantize \(1\)",
    ),
    "a node twice": (frozen({"w": KERNEL}) * 2, "the node 'ImageTensor' is there twice"),
    "a node without a name": (message((1, message((2, b"Const")))), "has no name"),
    "a constant without value": (node("w", "Const"), "constant 'w': it has no value"),
    "a name that is no text": (message((1, message((1, b"\xff")))), "not UTF-8"),
    "a SavedModel's": (b"\x08\x01\x12\x00", "field 1 of kind varint"),
}


@pytest.mark.parametrize("case", GRAPHS)
def test_a_graph_without_weights_or_with_contradictions_is_refused(tmp_path, case):
    data, shown = GRAPHS[case]
    with pytest.raises(CheckpointFormatError, match=shown):
        open_checkpoint(write(tmp_path / "g.pb", data))


def test_a_graph_that_is_cut_off_anywhere_is_an_error_or_lacks_its_last_nodes(graph):
    sound = graph.read_bytes()
    errors = 0
    for size in range(len(sound)):
        graph.write_bytes(sound[:size])
        outcome = examine(graph, VARIABLES, sealed=True)
        assert outcome.errors or outcome.equal in (2, 4, 6), "each is read in two ways"
        errors += bool(outcome.errors)
    assert errors > len(sound) * 0.9


@pytest.mark.parametrize("change", ["bytes", "messages"])
def test_a_damaged_graph_gives_arrays_or_a_checkpoint_error_in_little_memory(graph, change):
    sound = graph.read_bytes()
    errors = 0
    tracemalloc.start()
    for seed in range(300):
        generator = random.Random(seed)
        if change == "bytes":
            data = mutate_plain(generator, {"g": sound}).get("g", b"")
        else:
            data = _change_message(generator, sound)
        graph.write_bytes(data)
        errors += bool(examine(graph, VARIABLES, sealed=True).errors)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert errors > 50
    assert peak < 8 << 20


def test_a_file_shortened_while_it_is_open_is_an_error(graph):
    with open_checkpoint(graph) as checkpoint:
        graph.write_bytes(graph.read_bytes()[:50])
        for use in (checkpoint.read, checkpoint.__getitem__):
            with pytest.raises(CheckpointFormatError, match="cut off|when it was opened"):
                use(NAME)


def test_a_large_graph_is_opened_without_its_values_and_read_without_a_copy(tmp_path):
    large = np.zeros((1, 1, 1024, 4096), np.float32)  # 16 MiB
    path = write(tmp_path / "g.pb", frozen({"w": large}))
    tracemalloc.start()
    with open_checkpoint(path) as checkpoint:
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
        checkpoint.read("w")
        assert tracemalloc.get_traced_memory()[1] < large.nbytes + (1 << 20)
    tracemalloc.stop()


def test_a_folder_and_an_archive_with_nothing_else_lead_to_the_graph(graph, tmp_path):
    data = graph.read_bytes()
    (tmp_path / "readme.txt").write_text("x")
    with open_checkpoint(tmp_path) as checkpoint:
        assert checkpoint.path == str(graph)
    path = pack(tmp_path / "zoo.tar.gz", {"deeplab/frozen_inference_graph.pb": data})
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.path == f"{path}/deeplab/frozen_inference_graph.pb"
        assert checkpoint.read(NAME).tobytes() == KERNEL.tobytes()


def test_a_checkpoint_beside_a_graph_has_precedence(graph, tmp_path):
    copy_fixture("v2", tmp_path)
    files = {**contents("v2"), "deeplab_voc/frozen_inference_graph.pb": graph.read_bytes()}
    for path in (tmp_path, pack(tmp_path / "zoo.tar.gz", files)):
        with open_checkpoint(path) as checkpoint:
            assert checkpoint.format == "V2"


def test_of_several_graphs_none_is_taken(graph, tmp_path):
    files = {f"deeplab/{name}.pb": graph.read_bytes() for name in "ab"}
    write(tmp_path / "other.pb", graph.read_bytes())
    with pytest.raises(CheckpointNotFoundError, match=r"frozen_inference_graph\.pb, .*other\.pb"):
        open_checkpoint(tmp_path)
    with pytest.raises(CheckpointNotFoundError, match=r"a\.pb, .*b\.pb"):
        open_checkpoint(pack(tmp_path / "zoo.tar.gz", files))
