"""tools/model_converters/tf2mmseg.py: the report, the files, the refusals, and back again."""

import numpy as np
import pytest
import torch

from mmseg_deeplab_ext.checkpoints import open_checkpoint
from mmseg_deeplab_ext.checkpoints.writer import write_checkpoint
from mmseg_deeplab_ext.errors import (
    CheckpointError,
    CheckpointMismatchError,
    CheckpointWriteError,
)
from tests.support.graph_files import frozen
from tests.support.tf_files import MNV2_ADE, MNV2_VOC, variables, write_network
from tests.support.tool_modules import TOOLS, load_tool


@pytest.fixture(scope="module")
def convert():
    main = load_tool("model_converters/tf2mmseg").main
    return lambda *arguments: main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tf")
    tensors = variables(MNV2_VOC)
    averages = {f"{name}/ExponentialMovingAverage": value + 1 for name, value in tensors.items()}
    write_network(folder / "model.ckpt", MNV2_VOC, global_step=np.array(7), **averages)
    return folder / "model.ckpt"


def test_the_report_says_what_it_is_what_is_used_and_what_is_ignored(
    convert, source, tmp_path, capsys
):
    convert(source, tmp_path / "out.pth")
    assert capsys.readouterr().out.splitlines()[-6:] == [
        str(MNV2_VOC),
        "272 tensors used",
        "272 ignored: moving average of a weight, the raw weight is used",
        "1 ignored: training step",
        "0 missing",
        f"written: {tmp_path / 'out.pth'}",
    ]


def test_averages_are_taken_on_request(convert, source, tmp_path):
    convert(source, tmp_path / "raw.pth")
    convert(source, "--ema", "always", tmp_path / "ema.pth")
    raw, averaged = (
        torch.load(tmp_path / name, weights_only=True)["state_dict"]["decode_head.conv_seg.bias"]
        for name in ("raw.pth", "ema.pth")
    )
    assert torch.equal(averaged, raw + 1)


def test_list_prints_every_name_and_dry_run_writes_nothing(convert, source, tmp_path, capsys):
    convert(
        source, tmp_path / "out.pth", "--config-out", tmp_path / "out.py", "--dry-run", "--list"
    )
    output = capsys.readouterr().out
    with open_checkpoint(source) as checkpoint:
        assert all(f"{name} " in output for name in checkpoint)
    assert output.endswith("nothing written\n")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_only_replaced_when_told(convert, source, tmp_path):
    out = tmp_path / "out.pth"
    out.write_text("mine")
    with pytest.raises(CheckpointWriteError, match="--force overwrites it"):
        convert(source, out)
    assert out.read_text() == "mine"
    convert(source, out, "--force")
    assert torch.load(out, weights_only=True)["state_dict"]


def test_a_variable_too_many_is_an_error_until_it_is_ignored_by_name(convert, tmp_path):
    write_network(tmp_path / "model.ckpt", MNV2_VOC, surprise=np.zeros(3, np.float32))
    with pytest.raises(CheckpointMismatchError, match="surprise"):
        convert(tmp_path / "model.ckpt", tmp_path / "out.pth")
    convert(tmp_path / "model.ckpt", tmp_path / "out.pth", "--ignore", "surprise")
    assert (tmp_path / "out.pth").exists()


def test_scopes_that_have_other_names_are_mapped_and_left_out(convert, tmp_path, capsys):
    renamed = {f"net/{name}": value for name, value in variables(MNV2_VOC).items()}
    write_checkpoint(tmp_path / "renamed", {**renamed, "other/x": np.zeros(3, np.float32)})
    convert(tmp_path / "renamed", "--list", "--scope", "net=", "--ignore", "other/")
    lines = capsys.readouterr().out.splitlines()
    assert "1 ignored: left out on request" in lines
    assert any(
        line.startswith("net/aspp0/weights ") and "-> decode_head.aspp.branches.0" in line
        for line in lines
    )


def test_a_frozen_graph_is_converted_as_a_checkpoint(convert, tmp_path, capsys):
    (tmp_path / "frozen_inference_graph.pb").write_bytes(frozen(variables(MNV2_VOC)))
    convert(tmp_path / "frozen_inference_graph.pb", tmp_path / "out.pth")
    assert "272 tensors used" in capsys.readouterr().out
    bias = torch.from_numpy(variables(MNV2_VOC)["logits/semantic/biases"])
    content = torch.load(tmp_path / "out.pth", weights_only=True)
    assert torch.equal(content["state_dict"]["decode_head.conv_seg.bias"], bias)


def test_the_flags_reach_the_config(convert, source, tmp_path):
    flags = "--output-stride 8 --dilations 1 --crop-size 257 321".split()
    convert(source, tmp_path / "out.pth", "--config-out", tmp_path / "out.py", *flags)
    text = (tmp_path / "out.py").read_text()
    assert "output_stride=8" in text
    assert "257" in text
    assert "321" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("out.pth --output-stride 8", "--output-stride: only with --config-out"),
        ("out.pth --multi-grid 1 2 --crop-size 65 65", "--multi-grid, --crop-size: only with"),
        ("", "name the .pth to write"),
        ("--list --config-out out.py", "name the .pth to write"),
    ],
)
def test_arguments_that_would_have_no_effect_are_refused(
    convert, source, tmp_path, monkeypatch, capsys, arguments, message
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        convert(source, *arguments.split())
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_options_in_the_address_are_refused_in_favour_of_flags(convert, source, tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        convert(f"tf://{source}?ema=always", tmp_path / "out.pth")
    assert "give the options ema=always as flags" in capsys.readouterr().err
    convert(f"tf://{source}", tmp_path / "out.pth", "--ema", "always")
    assert (tmp_path / "out.pth").exists()


def test_a_needed_variable_can_not_be_ignored(convert, source, tmp_path):
    with pytest.raises(CheckpointMismatchError, match="but needed: logits/semantic/biases"):
        convert(source, tmp_path / "out.pth", "--ignore", "logits/semantic/biases")


@pytest.mark.parametrize("flag", ["--list", "--dry-run"])
def test_looking_needs_no_file_to_write(convert, source, tmp_path, monkeypatch, capsys, flag):
    monkeypatch.chdir(tmp_path)
    convert(source, flag)
    output = capsys.readouterr().out
    assert str(MNV2_VOC) in output
    assert ("logits/semantic/biases " in output) == (flag == "--list")
    assert output.endswith("nothing written\n")
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_names_the_file_in_the_way(convert, source, tmp_path):
    (tmp_path / "out.pth").write_text("mine")
    with pytest.raises(CheckpointWriteError, match="--force overwrites it"):
        convert(source, tmp_path / "out.pth", "--dry-run")


@pytest.mark.parametrize("network", [MNV2_VOC, None], ids=["does not fit", "not known"])
def test_list_prints_every_name_and_shape_even_if_the_file_is_refused(
    convert, tmp_path, capsys, network
):
    tensors = variables(network) if network else {"xception_37/weights": np.zeros(1, np.float32)}
    tensors["surprise"] = np.zeros((3, 4), np.float32)
    write_checkpoint(tmp_path / "model.ckpt", tensors)
    with pytest.raises(CheckpointError, match="surprise|Xception"):
        convert(tmp_path / "model.ckpt", "--list")
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert set(tensors) <= set(lines)
    assert lines["surprise"].endswith("[3, 4]")


def test_ade20ks_channel_0_is_dropped_on_request(convert, tmp_path):
    write_network(tmp_path / "ade", MNV2_ADE)
    convert(tmp_path / "ade", tmp_path / "150.pth", "--ade150")
    content = torch.load(tmp_path / "150.pth", weights_only=True)
    bias = torch.from_numpy(variables(MNV2_ADE)["logits/semantic/biases"])
    assert torch.equal(content["state_dict"]["decode_head.conv_seg.bias"], bias[1:])
    assert len(content["meta"]["dataset_meta"]["classes"]) == 150


def test_there_and_back_again_is_bit_exact(convert, source, tmp_path):
    out, config, back = tmp_path / "out.pth", tmp_path / "out.py", tmp_path / "back.ckpt"
    convert(source, out, "--config-out", config)
    load_tool("model_converters/mmseg2tf").main([str(config), str(out), str(back)])
    with open_checkpoint(back) as checkpoint:
        values = variables(MNV2_VOC)
        assert set(checkpoint) == set(values)
        for name, value in values.items():
            assert checkpoint[name].tobytes() == value.tobytes(), name
    convert(back, tmp_path / "again.pth")
    once, again = (
        torch.load(path, weights_only=True)["state_dict"] for path in (out, tmp_path / "again.pth")
    )
    assert list(once) == list(again)
    assert all(torch.equal(once[name], again[name]) for name in once)


def test_an_error_is_one_line_without_traceback_and_a_failing_exit_status(call, tmp_path):
    write_checkpoint(tmp_path / "other", {"dense/kernel": np.zeros((3, 4), np.float32)})
    tool = TOOLS / "model_converters" / "tf2mmseg.py"
    result = call(tool, tmp_path / "other", tmp_path / "out.pth", cwd=tmp_path)
    assert result.returncode == 1
    assert "the file holds no network of TensorFlow's DeepLab" in result.stderr
    assert "Traceback" not in result.stderr
