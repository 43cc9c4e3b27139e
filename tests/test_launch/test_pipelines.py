"""Geometry that an image and its labels do not share is refused."""

from __future__ import annotations

import re
from typing import Any

import pytest
from mmcv.transforms import RandomFlip
from mmengine.config import ConfigDict
from mmseg.utils import register_all_modules

from mmseg_deeplab_ext.config_view import ConfigView
from mmseg_deeplab_ext.launch.checks.pipelines import problems_of_pipelines

IMAGE, LABELS, PACK = (
    {"type": kind} for kind in ("LoadImageFromFile", "LoadAnnotations", "PackSegInputs")
)
RESIZE = {"type": "Resize", "scale": (64, 32)}
FLIP = {"type": "RandomFlip", "prob": 0.5}
CROP = {"type": "mmseg_deeplab_ext.RandomScaleCrop", "crop_size": (33, 33)}
TO_RANGE = {"type": "mmseg_deeplab_ext.ResizeToRange", "scale": 65}


class OwnFlip(RandomFlip):
    """A flip of somebody else's."""


@pytest.fixture(scope="module", autouse=True)
def _mmseg_scope() -> None:
    register_all_modules()


def found(*steps: Any, split: str = "train") -> str:
    dataset = {"type": "BaseSegDataset", "data_root": "x", "pipeline": list(steps)}
    cfg = ConfigDict({f"{split}_dataloader": {"dataset": dataset}})
    return "\n".join(problems_of_pipelines(ConfigView.of(cfg)))


def with_labels_after(step: dict[str, Any], *, split: str) -> str:
    return found(IMAGE, step, LABELS, PACK, split=split)


@pytest.mark.parametrize(
    "step",
    [
        *(RESIZE, FLIP, CROP, TO_RANGE),
        {"type": OwnFlip, "prob": 0.5},
        {"type": "RandomRotate", "prob": 0.5, "degree": 10},
        {"type": "mmcv.Pad", "size_divisor": 32},
        {"type": "RandomApply", "transforms": [RESIZE]},
        {"type": "RandomChoice", "transforms": [[FLIP], [RESIZE]]},
        {"type": "Albu", "transforms": [{"type": "OneOf", "transforms": [{"type": "Rotate"}]}]},
    ],
    ids=lambda step: str(step["type"]),
)
def test_labels_of_a_training_are_loaded_before_the_geometry(step: dict[str, Any]) -> None:
    message = with_labels_after(step, split="train")
    assert "before LoadAnnotations changes the image and not its labels: put " in message
    assert message.startswith("train_dataloader (BaseSegDataset in x): ")
    assert not found(IMAGE, LABELS, step, PACK)


@pytest.mark.parametrize("split", ["val", "test"])
def test_what_the_model_takes_back_may_come_before_the_labels_of_an_evaluation(split: str) -> None:
    for step in (RESIZE, FLIP, TO_RANGE):
        assert not with_labels_after(step, split=split)
    tta = {"type": "TestTimeAug", "transforms": [[RESIZE], [FLIP], [LABELS], [PACK]]}
    assert not found(IMAGE, tta, split=split)
    assert not found(IMAGE, LABELS, {**TO_RANGE, "as_original": True}, PACK, split=split)


@pytest.mark.parametrize("split", ["val", "test"])
@pytest.mark.parametrize(
    "step",
    [
        CROP,
        {"type": "CenterCrop", "crop_size": (8, 8)},
        {"type": "RandomRotate", "prob": 1, "degree": 10},
        {"type": "Pad", "size_divisor": 32},
        {**TO_RANGE, "as_original": True},
    ],
    ids=lambda step: str(step["type"]),
)
def test_what_the_model_does_not_take_back_may_not(step: dict[str, Any], split: str) -> None:
    assert "predictions are not brought back" in with_labels_after(step, split=split)


def test_flipped_labels_are_not_compared_with_predictions_that_are_flipped_back() -> None:
    message = found(IMAGE, LABELS, FLIP, PACK, split="val")
    assert "RandomFlip after LoadAnnotations flips image and labels, but predictions" in message
    assert not found(IMAGE, LABELS, {**FLIP, "prob": 0}, PACK, split="val")


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_mapping_that_leaves_the_labels_out_is_named(split: str) -> None:
    def mapped(**mapping: str) -> dict[str, Any]:
        return {"type": "KeyMapper", "mapping": mapping, "transforms": [CROP]}

    message = found(IMAGE, LABELS, mapped(img="img"), PACK, split=split)
    assert re.search("RandomScaleCrop changes the image and not its labels.*gt_seg_map", message)
    assert not found(IMAGE, LABELS, mapped(img="img", gt_seg_map="gt_seg_map"), PACK)
    albu = {"type": "Albu", "transforms": [{"type": "Transpose"}]}
    assert "gt_seg_map" in found(IMAGE, LABELS, {**albu, "keymap": {"img": "image"}}, PACK)
    assert not found(IMAGE, LABELS, albu, PACK)


def test_colours_noise_and_pipelines_without_labels_are_passed_over() -> None:
    blur = {"type": "Albu", "transforms": [{"type": "ZoomBlur"}, {"type": "RGBShift"}]}
    colours = {"type": "PhotoMetricDistortion"}
    assert not found(IMAGE, blur, colours, {"type": "NobodysTransform"}, LABELS, PACK)
    assert not found(IMAGE, RESIZE, FLIP, PACK)
