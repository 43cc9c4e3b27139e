"""tools/export.py: what the config's evaluation does, the file does too, or it is said."""

import numpy as np
import pytest
from mmengine.config import Config

from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.export import export_onnx, onnx_file
from tests.support.deterministic import make_image
from tests.test_export.conftest import NO_PADDING, files_beside

PIPELINE = """
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="mmseg_deeplab_ext.ResizeToRange", scale=65, max_size=97, factor=16),
    dict(type="LoadAnnotations"),
    dict(type="PackSegInputs"),
]
"""


def test_images_are_resized_as_the_configs_test_pipeline_does(
    tool, config, checkpoint, run, out, capsys
):
    tool(config(PIPELINE), checkpoint, out, "--probabilities")
    assert "its shorter side to 65, its longer one to at most 97" in capsys.readouterr().out
    image = make_image(130, 150)
    found = run(out, image)
    arguments = ["--min-resize-value", 65, "--max-resize-value", 97, "--resize-factor", 16]
    tool(config(), checkpoint, out, "--force", "--probabilities", *arguments)
    for name, values in run(out, image).items():
        assert np.array_equal(values, found[name])


def test_a_step_of_the_test_pipeline_that_the_file_does_not_do_is_said(
    tool, config, checkpoint, onnx, out, capsys
):
    tool(config(PIPELINE), checkpoint, out, "--keep-size")
    assert (
        "note: the file does not do what the config's test pipeline does besides: ResizeToRange"
        in (capsys.readouterr().out)
    )
    stock = PIPELINE.replace("mmseg_deeplab_ext.ResizeToRange", "Resize")
    tool(config(stock), checkpoint, out, "--force")
    assert "besides: Resize" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("test_cfg", "arguments", "crop", "note"),
    [
        ("None", {}, None, None),
        ("dict(size=(65, 97))", {}, (65, 97), None),
        (
            "dict(size=(65, 97))",
            {"dynamic": True},
            None,
            "evaluation pads images to 65 x 97, the file does not pad images: some labels differ",
        ),
        (
            "None",
            {"crop_size": (49, 65)},
            (49, 65),
            "evaluation does not pad images, the file pads images to 49 x 65: some labels differ",
        ),
        (
            "dict(size_divisor=32)",
            {},
            None,
            "evaluation pads images to multiples of 32, the file does not pad images: some",
        ),
    ],
    ids=["no-padding", "padding", "dynamic", "crop", "divisor"],
)
def test_another_padding_than_that_of_the_evaluation_is_said(
    test_cfg, arguments, crop, note, config, checkpoint, onnx, out
):
    padding = f'model["data_preprocessor"].update(test_cfg={test_cfg})\n'
    exported = export_onnx(
        Config.fromfile(config(NO_PADDING, padding)), str(checkpoint), out, **arguments
    )
    assert exported.crop_size == crop
    assert len(exported.notes) == (note is not None)
    assert all(note in each for each in exported.notes)


def test_what_is_seldom_meant_is_said_of_the_crop_in_use(
    tool, config, checkpoint, onnx, out, capsys
):
    stride = ["--cfg-options", "model.backbone.output_stride=8"]
    tool(config(), checkpoint, out, "--crop-size", 64, 64, *stride)
    printed = capsys.readouterr().out
    assert "dilations=(1, 12, 24, 36)" in printed
    assert "note: crop_size=(64, 64) is not k * 8 + 1" in printed
    tool(config(), checkpoint, out, "--force")
    assert "note:" not in capsys.readouterr().out


def test_nothing_is_written_before_the_notes_are_known(config, checkpoint, onnx, out, monkeypatch):
    def broken(*_, **__):
        raise ConfigError("broken")

    monkeypatch.setattr(onnx_file, "export_notes", broken)
    with pytest.raises(ConfigError, match="broken"):
        export_onnx(Config.fromfile(config()), str(checkpoint), out)
    assert files_beside(out) == []
