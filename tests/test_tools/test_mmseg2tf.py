"""tools/model_converters/mmseg2tf.py: a .pth as a TensorFlow checkpoint, and back, bit for bit."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS

from mmseg_deeplab_ext.checkpoints import open_checkpoint
from mmseg_deeplab_ext.errors import (
    CheckpointFormatError,
    CheckpointMismatchError,
    CheckpointNotFoundError,
    CheckpointWriteError,
    ConfigError,
)
from mmseg_deeplab_ext.specs.network import rules_of_model
from mmseg_deeplab_ext.specs.rule import Rule
from tests.data.make_goldens import variables_digest
from tests.support.golden_files import MANIFEST
from tests.support.tensorflow_peer import PYTHON, describe, read_with_tensorflow
from tests.support.tool_modules import TOOLS, load_tool

CONFIG = """
default_scope = "mmseg"
model = dict(
    type="EncoderDecoder",
    backbone=dict(type="mmseg_deeplab_ext.ResNetV1Beta", depth=18, output_stride=16),
    decode_head=dict(
        type="mmseg_deeplab_ext.DeepLabV3PlusHead",
        in_channels=512,
        channels=256,
        num_classes=21,
        dilations=(1, 6, 12, 18),
        c1_in_channels=64,
        c1_channels=48,
    ),
)
"""
AUXILIARY = """
model["auxiliary_head"] = dict(
    type="FCNHead", in_channels=256, in_index=2, channels=8, num_classes=21
)
"""
FOREIGN = """
model["backbone"] = dict(type="ResNetV1c", depth=18)
"""
INVENTORY = "resnet_v1_18_beta__v3plus_os16_rates6-12-18_dec4_nc21"


@pytest.fixture(scope="module")
def export():
    main = load_tool("model_converters/mmseg2tf").main
    return lambda *arguments: main([str(argument) for argument in arguments])


@pytest.fixture
def config(tmp_path):
    """Write the config; further lines come at its end."""

    def write(*lines):
        path = tmp_path / "config.py"
        path.write_text("".join([CONFIG, *lines]))
        return path

    return write


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "config.py"
    path.write_text(CONFIG)
    return MODELS.build(Config.fromfile(path).model)


@pytest.fixture(scope="module")
def trained(model):
    """Weights of the model: random bits that are finite float32 numbers, minus zero among them."""
    random = np.random.default_rng(0)
    state = model.state_dict()
    for name, tensor in state.items():
        if tensor.is_floating_point():
            value = random.standard_normal(tuple(tensor.shape), np.float32)
            value.flat[0] = -0.0
            state[name] = torch.from_numpy(value)
        else:
            state[name] = torch.tensor(8)
    return state


def bits(tensor):
    return np.asarray(tensor).tobytes()


def assert_same_bits(found, expected):
    expected = {k: v for k, v in expected.items() if not k.endswith("num_batches_tracked")}
    assert sorted(found) == sorted(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == torch.float32, name
        assert found[name].shape == tensor.shape, name
        assert bits(found[name]) == bits(tensor), name


def save(path, state, **meta):
    torch.save({"state_dict": state, "meta": meta} if meta else state, path)
    return path


def test_a_trained_model_becomes_the_official_variables_and_comes_back_bit_for_bit(
    export, config, trained, tmp_path, capsys
):
    pth, prefix = tmp_path / "iter_8.pth", tmp_path / "model.ckpt"
    save(pth, trained, iter=8, epoch=0)
    export(config(), pth, prefix)
    assert capsys.readouterr().out.endswith(f"{prefix}: 187 variables, global_step 8\n")
    with open_checkpoint(prefix) as checkpoint:
        step = checkpoint["global_step"]
        assert (step.dtype, step.shape, int(step)) == (np.int64, (), 8)
        names = [name for name in checkpoint if name != "global_step"]
        assert {checkpoint.dtype(name) for name in names} == {np.dtype(np.float32)}
        shapes = [(name, checkpoint.shape(name)) for name in names]
    assert len(shapes) == MANIFEST["variables"][INVENTORY]["count"]
    assert variables_digest(shapes) == MANIFEST["variables"][INVENTORY]["digest"]

    back = tmp_path / "back.pth"
    load_tool("model_converters/tf2mmseg").main([str(prefix), str(back)])
    assert_same_bits(torch.load(back, weights_only=True)["state_dict"], trained)


def test_every_variable_holds_the_tensor_of_its_rule(export, config, model, trained, tmp_path):
    export(config(), save(tmp_path / "plain.pth", trained), tmp_path / "model.ckpt")
    with open_checkpoint(tmp_path / "model.ckpt") as checkpoint:
        rules = rules_of_model(model)
        found = {
            rule.torch_name: torch.from_numpy(rule.to_torch(checkpoint.read(rule.tf_name)).copy())
            for rule in rules
        }
        assert "global_step" not in checkpoint, "a plain state dict knows no step"
    assert_same_bits(found, trained)


def test_the_names_of_distributed_training_are_understood(export, config, trained, tmp_path):
    wrapped = {f"module.{name}": tensor for name, tensor in trained.items()}
    auxiliary = {"module.auxiliary_head.conv_seg.weight": torch.zeros(21, 8, 1, 1)}
    export(config(), save(tmp_path / "plain.pth", trained), tmp_path / "plain.ckpt")
    pth = save(tmp_path / "wrapped.pth", {**wrapped, **auxiliary})
    export(config(), pth, tmp_path / "wrapped.ckpt", "--drop", "auxiliary_head")
    for suffix in (".index", ".data-00000-of-00001"):
        plain, found = (tmp_path / f"{name}.ckpt{suffix}" for name in ("plain", "wrapped"))
        assert found.read_bytes() == plain.read_bytes()


def test_half_precision_weights_are_written_as_the_same_numbers_in_float32(
    export, config, trained, tmp_path
):
    half = {name: tensor.bfloat16() for name, tensor in trained.items()}
    export(config(), save(tmp_path / "half.pth", half), tmp_path / "model.ckpt")
    with open_checkpoint(tmp_path / "model.ckpt") as checkpoint:
        bias = checkpoint["logits/semantic/biases"]
    assert bias.dtype == np.float32
    assert bits(bias) == bits(half["decode_head.conv_seg.bias"].float())


@pytest.mark.parametrize(
    ("layout", "tf_shape", "torch_shape"),
    [
        ("as_is", (7,), (7,)),
        ("conv", (3, 5, 4, 2), (2, 4, 3, 5)),
        ("depthwise", (3, 5, 4, 1), (4, 1, 3, 5)),
    ],
)
def test_layouts_are_inverse_to_each_other(layout, tf_shape, torch_shape):
    rule = Rule("tf", "torch", tf_shape, layout)
    value = np.arange(np.prod(tf_shape)).reshape(tf_shape)
    there = rule.to_torch(value)
    assert there.shape == torch_shape
    assert rule.to_tf(there).shape == tf_shape
    np.testing.assert_array_equal(rule.to_tf(there), value)


def test_an_auxiliary_head_is_left_out_on_request_only(export, config, trained, tmp_path, capsys):
    state = {**trained, "auxiliary_head.conv_seg.weight": torch.zeros(21, 8, 1, 1)}
    pth, prefix = save(tmp_path / "auxiliary.pth", state), tmp_path / "model.ckpt"
    path = config(AUXILIARY)
    with pytest.raises(CheckpointMismatchError, match="--drop auxiliary_head") as caught:
        export(path, pth, prefix)
    assert "1 without a place" in str(caught.value)
    assert "auxiliary_head.conv_seg.weight" in str(caught.value)
    with pytest.raises(CheckpointMismatchError, match=r"without any tensor.*: auxiliary$"):
        export(path, pth, prefix, "--drop", "auxiliary_head", "auxiliary")
    assert not list(tmp_path.glob("model.ckpt*"))
    export(path, pth, prefix, "--drop", "auxiliary_head")
    assert "left out: auxiliary_head.conv_seg.weight\n" in capsys.readouterr().out
    with open_checkpoint(prefix) as checkpoint:
        assert len(checkpoint) == 187


def test_everything_that_does_not_fit_is_told_at_once(export, config, trained, tmp_path):
    state = dict(trained)
    state["decode_head.conv_seg.weight"] = torch.zeros(19, 256, 1, 1)
    state["decode_head.conv_seg.bias"] = torch.zeros(21, dtype=torch.float64)
    state["ema.decay"] = torch.zeros(())
    del state["backbone.stem.0.conv.weight"]
    with pytest.raises(CheckpointMismatchError) as caught:
        export(config(), save(tmp_path / "wrong.pth", state), tmp_path / "model.ckpt")
    lines = str(caught.value).splitlines()[1:]
    assert [line.strip() for line in lines] == [
        "1 of another shape: decode_head.conv_seg.weight [19, 256, 1, 1] in the file, "
        "[21, 256, 1, 1] in the model",
        "1 missing in the file: backbone.stem.0.conv.weight",
        "1 not exactly convertible to float32: decode_head.conv_seg.bias torch.float64",
        "1 without a place in TensorFlow's network (an auxiliary head is left out with "
        "--drop auxiliary_head): ema.decay",
    ]
    assert not list(tmp_path.glob("model.ckpt*"))


def test_a_network_that_tensorflow_does_not_have_is_refused(export, config, trained, tmp_path):
    pth = save(tmp_path / "any.pth", trained)
    with pytest.raises(CheckpointMismatchError, match=r"model\.backbone is a ResNetV1c"):
        export(config(FOREIGN), pth, tmp_path / "model.ckpt")


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (None, CheckpointNotFoundError, "wrong.pth does not exist"),
        (b"no zip, no pickle", CheckpointFormatError, "is no sound PyTorch file"),
        (b"", CheckpointFormatError, "is no sound PyTorch file .it is empty"),
        (b"junk", CheckpointFormatError, "is no sound PyTorch file"),
        (b"hello world", CheckpointFormatError, "is no sound PyTorch file"),
        ([1, 2], CheckpointFormatError, "holds a list"),
        ({"state_dict": {"a": 1}}, CheckpointFormatError, "no tensors are: a"),
        ({"state_dict": [1]}, CheckpointFormatError, "'state_dict' is a list"),
    ],
)
def test_a_file_that_is_no_state_dict_is_explained(
    export, config, tmp_path, content, error, message
):
    path = tmp_path / "wrong.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(error, match=message):
        export(config(), path, tmp_path / "model.ckpt")


def test_an_existing_checkpoint_is_overwritten_only_by_force(export, config, trained, tmp_path):
    pth, prefix = save(tmp_path / "a.pth", trained), tmp_path / "model.ckpt"
    export(config(), pth, prefix)
    with pytest.raises(CheckpointWriteError, match="exists already.*--force"):
        export(config(), pth, prefix)
    export(config(), pth, prefix, "--force")


def test_a_config_without_a_model_is_named(export, tmp_path):
    path = tmp_path / "config.py"
    path.write_text("x = 1")
    with pytest.raises(ConfigError, match=r"config\.py has no `model`"):
        export(path, "any.pth", tmp_path / "model.ckpt")


def test_the_command_prints_an_error_without_traceback(call, config, tmp_path):
    tool = TOOLS / "model_converters" / "mmseg2tf.py"
    ended = call(tool, config(), "none.pth", tmp_path / "x", cwd=tmp_path)
    assert ended.returncode == 1
    assert "error: The checkpoint none.pth does not exist" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.tensorflow
@pytest.mark.skipif(not PYTHON, reason="DEEPLAB_TF_PYTHON names no Python with TensorFlow")
def test_tensorflow_reads_the_exported_model(export, config, model, trained, tmp_path):
    export(config(), save(tmp_path / "a.pth", trained, iter=8), tmp_path / "model.ckpt")
    expected = {
        rule.tf_name: describe(np.ascontiguousarray(rule.to_tf(trained[rule.torch_name].numpy())))
        for rule in rules_of_model(model)
    }
    expected["global_step"] = describe(np.int64(8))
    assert read_with_tensorflow(tmp_path / "model.ckpt") == expected
