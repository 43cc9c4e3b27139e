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
        ("mmseg_deeplab_ext.MobileNetV3", HEAD, dict(c1_in_index=2)),
        ("mmseg_deeplab_ext.MobileNetV3", HEAD, dict(c1_in_index=0, out_indices=(0, 3))),
        ("mmseg_deeplab_ext.MobileNetV3", HEAD, dict(c1_in_index="2")),  # the head refuses it
        ("mmseg_deeplab_ext.MobileNetV3", HEAD, dict(out_indices=3)),  # the backbone refuses it
        ("mmseg_deeplab_ext.MobileNetV3", "DepthwiseSeparableASPPHead", dict(c1_in_index=7)),
        ("MobileNetV3", HEAD, dict(c1_in_index=7, out_indices=(1, 3, 16))),
    ],
)
def test_everything_else_passes(backbone, head, decoder):
    assert problems(backbone, head, c1_in_channels=72, **decoder) == []


def test_every_tool_asks():
    assert PROBLEMS[problems_of_taps] is ConfigError
    edgetpu = {"type": "mmseg_deeplab_ext.MobileNetEdgeTPU"}
    head = {"type": HEAD, "in_channels": 1280, "channels": 8, "num_classes": 2}
    model = {"type": "EncoderDecoder", "backbone": edgetpu, "decode_head": head}
    check_inference_config({"model": model})
    with pytest.raises(ConfigError, match="asks for a decoder"):
        check_inference_config({"model": {**model, "decode_head": {**head, "c1_in_channels": 96}}})
