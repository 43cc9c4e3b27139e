"""What is allowed but said: rates of another output stride, sizes that are not k * stride + 1."""

from pathlib import Path

import pytest
from mmengine.config import Config

from mmseg_deeplab_ext.launch.checks.recipe import config_notes
from mmseg_deeplab_ext.registry import MODELS

CONFIGS = Path(__file__).parents[2] / "configs"


INPUT = {"mean": [127.5] * 3, "std": [127.5] * 3, "bgr_to_rgb": True}


def model(output_stride=16, dilations=(1, 6, 12, 18), size=(513, 513), test_size=(513, 513)):
    return {
        "backbone": {"output_stride": output_stride},
        "decode_head": {"dilations": dilations},
        "data_preprocessor": {**INPUT, "size": size, "test_cfg": {"size": test_size}},
    }


def notes(training=True, **changes):
    return config_notes({"model": model(**changes)}, training=training)


OURS = {"type": "mmseg_deeplab_ext.ResNetV1Beta"}
OUR_HEAD = {"type": "mmseg_deeplab_ext.DeepLabV3PlusHead"}


def test_an_output_stride_left_at_its_default_counts():
    (note,) = config_notes({"model": {**model(size=(512, 512)), "backbone": OURS}}, training=True)
    assert "size=(512, 512) is not k * 16 + 1" in note
    stock = {**model(size=(512, 512)), "backbone": {"type": "ResNetV1c"}}
    assert config_notes({"model": stock}, training=True) == []


@pytest.mark.parametrize("kind", [str, MODELS.get], ids=["name", "class"])
def test_rates_left_at_their_default_count(kind):
    head = {"type": kind(OUR_HEAD["type"])}
    (note,) = config_notes(
        {"model": {**model(output_stride=8), "decode_head": head}}, training=True
    )
    assert "dilations=(1, 6, 12, 18) are the rates for output stride 16" in note
    stock = {**model(output_stride=8), "decode_head": {"type": "ASPPHead"}}
    assert config_notes({"model": stock}, training=True) == []


def test_a_crop_of_another_size_than_the_batches_is_said_once():
    def of_crop(size, kind="mmseg_deeplab_ext.RandomScaleCrop"):
        step = {"type": kind, "crop_size": size}
        leaf = {"type": "VOC", "pipeline": [{"type": "LoadImageFromFile"}, step]}
        dataset = {"type": "ConcatDataset", "datasets": [leaf, leaf]}
        return {"model": model(), "train_dataloader": {"dataset": dataset}}

    (note,) = config_notes(of_crop([600, 513]), training=True)
    assert "RandomScaleCrop makes crops of (600, 513)" in note
    assert "model.data_preprocessor.size=(513, 513)" in note
    assert config_notes(of_crop([513, 513]), training=True) == []
    assert config_notes(of_crop([600, 513]), training=False) == []
    (note,) = config_notes(of_crop([600, 600], kind="RandomCrop"), training=True)
    assert note.startswith("RandomCrop makes crops of (600, 600)")


def test_the_rates_of_another_output_stride_are_said_with_the_right_ones():
    (note,) = notes(output_stride=8)
    assert "dilations=(1, 6, 12, 18) are the rates for output stride 16" in note
    assert "output_stride=8" in note
    assert "dilations=(1, 12, 24, 36)" in note
    assert "output stride 8, but" in notes(dilations=(1, 12, 24, 36))[0]


@pytest.mark.parametrize("dilations", [(1,), (1, 6, 12, 18), (1, 2, 5, 7)])
def test_official_rates_no_rates_and_rates_of_ones_own_need_no_words(dilations):
    assert notes(dilations=dilations) == []


def test_a_size_off_the_grid_is_said_with_the_next_one_on_it():
    (note,) = notes(size=(512, 513))
    assert "model.data_preprocessor.size=(512, 513) is not k * 16 + 1" in note
    assert note.endswith("(513, 513).")
    (note,) = notes(test_size=(514, 513))
    assert "test_cfg.size=(514, 513)" in note
    assert note.endswith("(529, 513).")


def test_an_evaluation_is_not_bothered_with_the_size_of_the_training():
    assert notes(training=False, size=(512, 512)) == []


@pytest.mark.parametrize("size", [None, (513, 513)])
def test_sizes_may_be_left_out(size):
    assert notes(size=size, test_size=None) == []


def test_a_wrapped_model_is_looked_into_and_a_foreign_one_is_left_alone():
    wrapped = {"model": {"type": "SegTTAModel", "module": model(output_stride=8)}}
    assert len(config_notes(wrapped, training=True)) == 1
    foreign = {"model": {"backbone": {"type": "ResNetV1c"}, "decode_head": [{}, {}]}}
    assert config_notes(foreign, training=True) == []


def preprocessed(kind, **preprocessor):
    parts = {"backbone": {"type": kind}, "data_preprocessor": {**INPUT, **preprocessor}}
    return {"model": parts}


def test_an_input_that_googles_weights_are_not_for_is_said():
    ours, plain = "mmseg_deeplab_ext.ResNetV1Beta", "mmseg_deeplab_ext.ResNetV1"
    assert config_notes(preprocessed(ours), training=False) == []
    (note,) = config_notes(preprocessed(ours, mean=[123.675, 116.28, 103.53]), training=False)
    assert "has mean=[123.675, 116.28, 103.53]; Google's weights of ResNetV1Beta are for" in note
    assert note.endswith("mean=[127.5, 127.5, 127.5].")
    (note,) = config_notes(preprocessed(ours, bgr_to_rgb=False), training=False)
    assert "bgr_to_rgb=False" in note
    assert len(config_notes(preprocessed(plain), training=False)) == 1
    assert config_notes(preprocessed("ResNetV1c", mean=[0, 0, 0]), training=False) == []


def test_a_pooling_window_of_another_output_stride_is_said():
    head = {"image_pooling": {"crop_size": (513, 513), "output_stride": 16}}
    part = {"backbone": {"output_stride": 8}, "decode_head": head}
    (note,) = config_notes({"model": part}, training=False)
    assert "image_pooling.output_stride=16, but model.backbone.output_stride=8" in note
    assert "0.5 times the height and width" in note
    part["backbone"]["output_stride"] = 16
    assert config_notes({"model": part}, training=False) == []


def test_a_sliding_window_off_the_grid_is_said():
    sliding = {**model(), "test_cfg": {"mode": "slide", "crop_size": (512, 512)}}
    (note,) = config_notes({"model": sliding}, training=False)
    assert "model.test_cfg.crop_size=(512, 512) is not k * 16 + 1" in note


@pytest.mark.parametrize(
    "changes",
    [
        dict(output_stride="abc"),
        dict(output_stride=0),
        dict(output_stride=None),
        dict(dilations="12"),
        dict(size=("a", "b"), test_size=513),
        dict(size=[513], test_size={}),
    ],
)
def test_impossible_values_are_left_to_the_classes_that_refuse_them(changes):
    cfg = {"model": model(**changes)}
    for crop in ({"crop_size": 65}, {}, {"crop_size": "x"}):
        step = {"type": "mmseg_deeplab_ext.RandomScaleCrop", **crop}
        cfg["train_dataloader"] = {"dataset": {"type": "VOC", "pipeline": [step]}}
        assert config_notes(cfg, training=True) == []


@pytest.mark.parametrize(
    "path",
    [p for p in sorted(CONFIGS.rglob("*.py")) if "_base_" not in p.parts],
    ids=lambda p: p.stem,
)
def test_our_own_configs_need_no_words(path):
    assert config_notes(Config.fromfile(path), training=True) == []
