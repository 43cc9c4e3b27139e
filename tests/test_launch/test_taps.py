"""A decoder that takes what the backbone does not have is refused before anything is built."""

import pytest

from mmseg_deeplab_ext.config_view import ConfigView
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.launch.checks.before_start import PROBLEMS, check_inference_config
from mmseg_deeplab_ext.launch.checks.taps import problems_of_taps
from mmseg_deeplab_ext.registry import MODELS

HEAD = "mmseg_deeplab_ext.DeepLabV3PlusHead"


def problems(backbone, head=HEAD, *, out_indices=None, **decoder):
    ours = {"type": backbone, **({} if out_indices is None else {"out_indices": out_indices})}
    model = {"backbone": ours, "decode_head": {"type": head, **decoder}}
    return problems_of_taps(ConfigView.of({"model": model}, splits=()))


@pytest.mark.parametrize("kind", [str, MODELS.get], ids=["name", "class"])
def test_a_network_without_taps_takes_no_decoder(kind):
    edgetpu = kind("mmseg_deeplab_ext.MobileNetEdgeTPU")
    (line,) = problems(edgetpu, kind(HEAD), c1_in_channels=96)
    assert line.startswith("model.decode_head.c1_in_channels=96 asks for a decoder")
    assert "MobileNetEdgeTPU has no feature" in line
    assert problems(edgetpu) == problems(edgetpu, c1_in_channels=0) == []


@pytest.mark.parametrize(
    ("index", "out_indices", "count"),
    [(3, None, 3), ([2, 3], None, 3), (1, (0, 3), 1), ((1, 0), (3,), 0)],
)
def test_a_feature_that_the_backbone_does_not_return_is_named(index, out_indices, count):
    wanted = dict(out_indices=out_indices, c1_in_channels=72, c1_in_index=index)
    (line,) = problems("mmseg_deeplab_ext.MobileNetV3", **wanted)
    assert f"c1_in_index={index!r}" in line
    assert f"the first {count}, numbered from 0" in line


@pytest.mark.parametrize(
    ("backbone", "head", "decoder"),
    [
        ("mmseg_deeplab_ext.MobileNetV3", HEAD, dict(c1_in_index=2, c1_in_channels=672)),
        ("mmseg_deeplab_ext.MobileNetV3", HEAD, dict(c1_in_index=0, out_indices=(0, 3))),
        ("mmseg_deeplab_ext.MobileNetV3", HEAD, dict(c1_in_index="2")),  # the head refuses it
        ("mmseg_deeplab_ext.MobileNetV3", HEAD, dict(out_indices=3)),  # the backbone refuses it
        ("mmseg_deeplab_ext.MobileNetV3", "DepthwiseSeparableASPPHead", dict(c1_in_index=7)),
        ("MobileNetV3", HEAD, dict(c1_in_index=7, out_indices=(1, 3, 16))),
    ],
)
def test_everything_else_passes(backbone, head, decoder):
    assert problems(backbone, head, **{"c1_in_channels": 72, **decoder}) == []


@pytest.mark.parametrize(
    ("taken", "place", "wanted"),
    [
        (dict(in_channels=288), "in_channels=288", "in_index=-1 have 480"),
        (dict(c1_in_channels=120), "c1_in_channels=120", "c1_in_index=0 have 72"),
        (dict(c1_in_channels=[120, 40], c1_in_index=[1, 0]), "[120, 40]", "[1, 0] have 120, 72"),
        (dict(c1_in_channels=72, c1_in_index=[1, 0]), "channels=72", "[1, 0] have 120, 72"),
    ],
)
def test_a_feature_of_other_channels_is_named(taken, place, wanted):
    (line,) = problems("mmseg_deeplab_ext.MobileNetV3", **taken)
    assert line.startswith("model.decode_head.")
    assert place in line
    assert f"{wanted} channels" in line


def test_heads_of_mmsegmentation_are_asked_too_and_those_behind_a_neck_are_not():
    backbone = {"type": "mmseg_deeplab_ext.MobileNetV3", "arch": "small"}
    indices = dict(in_index=[0, 1, 2, 3], in_channels=[16, 88, 144, 480])
    model = {"backbone": backbone, "decode_head": {"type": "UPerHead", **indices}}
    (line,) = problems_of_taps(ConfigView.of({"model": model}, splits=()))
    assert line.endswith("have 16, 88, 144, 288 channels")
    behind = {**model, "neck": {"type": "FPN"}}
    assert problems_of_taps(ConfigView.of({"model": behind}, splits=())) == []


def test_a_cell_that_is_told_another_output_stride_is_refused():
    cell = dict(dense_prediction_cell="branch5_top1_cityscapes")
    (line,) = problems("mmseg_deeplab_ext.MobileNetV3", **cell)
    assert "decode_head.output_stride=16, but model.backbone.output_stride=32" in line
    assert problems("mmseg_deeplab_ext.Xception", **cell) == []
    (line,) = problems("mmseg_deeplab_ext.Xception", **cell, output_stride=8)
    assert "decode_head.output_stride=8, but model.backbone.output_stride=16" in line


def test_every_tool_asks():
    assert PROBLEMS[problems_of_taps] is ConfigError
    edgetpu = {"type": "mmseg_deeplab_ext.MobileNetEdgeTPU"}
    head = {"type": HEAD, "in_channels": 1280, "channels": 8, "num_classes": 2}
    model = {"type": "EncoderDecoder", "backbone": edgetpu, "decode_head": head}
    check_inference_config({"model": model})
    with pytest.raises(ConfigError, match="asks for a decoder"):
        check_inference_config({"model": {**model, "decode_head": {**head, "c1_in_channels": 96}}})
