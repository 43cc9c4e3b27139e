"""What is allowed but said: rates of another output stride, sizes that are not k * stride + 1."""

from pathlib import Path

import pytest
from mmengine.config import Config

from mmseg_deeplab_ext.engine.notes import config_notes
from mmseg_deeplab_ext.registry import MODELS

CONFIGS = Path(__file__).parents[2] / "configs"


def model(output_stride=16, dilations=(1, 6, 12, 18), size=(513, 513), test_size=(513, 513)):
    return {
        "backbone": {"output_stride": output_stride},
        "decode_head": {"dilations": list(dilations)},
        "data_preprocessor": {"size": size, "test_cfg": {"size": test_size}},
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
    def of_crop(size):
        step = {"type": "mmseg_deeplab_ext.RandomScaleCrop", "crop_size": size}
        leaf = {"type": "VOC", "pipeline": [{"type": "LoadImageFromFile"}, step]}
        dataset = {"type": "ConcatDataset", "datasets": [leaf, leaf]}
        return {"model": model(), "train_dataloader": {"dataset": dataset}}

    (note,) = config_notes(of_crop([600, 513]), training=True)
    assert "RandomScaleCrop makes crops of (600, 513)" in note
    assert "model.data_preprocessor.size=(513, 513)" in note
    assert config_notes(of_crop([513, 513]), training=True) == []
    assert config_notes(of_crop([600, 513]), training=False) == []


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


@pytest.mark.parametrize(
    "path",
    [p for p in sorted(CONFIGS.rglob("*.py")) if "_base_" not in p.parts],
    ids=lambda p: p.stem,
)
def test_our_own_configs_need_no_words(path):
    assert config_notes(Config.fromfile(path), training=True) == []
