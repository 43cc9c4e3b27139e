"""tools/export.py: what is refused, before anything is written."""

import sys

import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS

from mmseg_deeplab_ext.errors import CheckpointMismatchError, ConfigError, EnvironmentNotReadyError
from mmseg_deeplab_ext.export import ExportError, ResizeRange, export_onnx
from mmseg_deeplab_ext.export.graph import InferenceGraph
from tests.test_export.conftest import files_beside


def test_a_file_that_is_there_is_kept_unless_forced(tool, config, checkpoint, onnx, out):
    out.write_bytes(b"mine")
    with pytest.raises(ExportError, match="exists already; --force overwrites it"):
        tool(config(), checkpoint, out)
    assert out.read_bytes() == b"mine"
    tool(config(), checkpoint, out, "--force")
    onnx.checker.check_model(str(out))


@pytest.mark.parametrize("missing", [["onnx"], ["onnxruntime"], ["onnx", "onnxruntime"]])
def test_a_missing_package_is_named_with_how_to_install_it(missing, config, out, monkeypatch):
    for name in ("onnx", "onnxruntime"):
        present = type(sys)(name)
        monkeypatch.setitem(sys.modules, name, None if name in missing else present)
    with pytest.raises(EnvironmentNotReadyError, match="pip install onnx onnxruntime") as caught:
        export_onnx(Config.fromfile(config()), "there_is_no_such_file.pth", out)
    for name, purpose in (("onnx", "writes the file"), ("onnxruntime", "runs it")):
        assert (f"{name}, which {purpose}" in str(caught.value)) == (name in missing)


@pytest.mark.parametrize(
    ("lines", "arguments", "error", "message"),
    [
        ("", {"crop_size": (65, 0)}, ConfigError, "crop_size=.65, 0. must be 2 whole numbers"),
        (
            "",
            {"resize": ResizeRange(66, 200)},
            ConfigError,
            "makes 66 x 98 of an image of 65 x 97, which is larger than the crop",
        ),
        (
            'model["decode_head"].update(num_classes=2, out_channels=1)\n',
            {},
            CheckpointMismatchError,
            "does not fit",
        ),
        (
            'model["data_preprocessor"] = dict(type="BaseDataPreprocessor")\n',
            {"dynamic": True},
            ConfigError,
            "data_preprocessor is a BaseDataPreprocessor",
        ),
    ],
    ids=["crop-of-0", "resized-too-large", "other-weights", "no-normalisation"],
)
def test_what_cannot_be_exported_is_refused_before_anything_is_written(
    lines, arguments, error, message, config, checkpoint, onnx, out
):
    with pytest.raises(error, match=message):
        export_onnx(Config.fromfile(config(lines)), str(checkpoint), out, **arguments)
    assert files_beside(out) == []


def test_places_that_cannot_be_written_are_refused(config, out):
    cfg = Config.fromfile(config())
    for path, message in (
        (out.parent / "none" / "model.onnx", "none does not exist; create it"),
        (out.parent, "is a folder, expected the name of a file"),
    ):
        with pytest.raises(ExportError, match=message):
            export_onnx(cfg, "there_is_no_such_file.pth", path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--crop-size", 65, 97, "--dynamic"], "not allowed with argument --crop-size"),
        (["--max-resize-value", 97], "need --min-resize-value"),
        (["--min-resize-value", 97, "--keep-size"], "not allowed with argument"),
    ],
)
def test_arguments_that_contradict_each_other_are_usage_errors(
    arguments, message, tool, out, capsys
):
    with pytest.raises(SystemExit):
        tool("config.py", "model.pth", out, *arguments)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            'model["decode_head"].update(num_classes=2, out_channels=1, threshold=0.5)\n',
            "out_channels=1: only heads with one channel per class",
        ),
        (
            'model.update(type="CascadeEncoderDecoder", num_stages=1)\n'
            'model["decode_head"] = [model["decode_head"]]\n',
            "CascadeEncoderDecoder whose decode_head is a ModuleList",
        ),
    ],
    ids=["sigmoid", "cascade"],
)
def test_segmentors_without_one_channel_per_class_are_refused(lines, message, config):
    segmentor = MODELS.build(Config.fromfile(config(lines)).model)
    with pytest.raises(ConfigError, match=message):
        InferenceGraph(segmentor, crop_size=None)


def test_an_operation_that_onnx_does_not_have_is_an_export_error(config, onnx, out, tmp_path):
    cfg = Config.fromfile(
        config(
            'model["decode_head"] = dict(\n'
            '    type="PSPHead", in_channels=320, in_index=3, channels=8, num_classes=5\n)\n'
        )
    )
    torch.save(MODELS.build(cfg.model).state_dict(), tmp_path / "psp.pth")
    with pytest.raises(ExportError, match="PyTorch can't write this network as ONNX"):
        export_onnx(cfg, str(tmp_path / "psp.pth"), out, dynamic=True)
    assert files_beside(out) == []
