"""One label for pixels that do not count, wherever a config says it."""

import pytest
from mmengine.config import Config

from mmseg_deeplab_ext.config_view import ConfigView
from mmseg_deeplab_ext.launch.checks.ignored_label import problems_of_ignored_label


def problems(*, head=None, preprocessor=None, steps=(), metric=None):
    cfg = Config(
        dict(
            model=dict(
                data_preprocessor=dict(type="SegDataPreProcessor", **preprocessor or {}),
                decode_head=dict(type="FCNHead", num_classes=4, **head or {}),
            ),
            train_dataloader=dict(
                dataset=dict(
                    type="BaseSegDataset", pipeline=[dict(type="LoadImageFromFile"), *steps]
                )
            ),
            val_evaluator=dict(type="IoUMetric", **metric or {}),
        )
    )
    return problems_of_ignored_label(ConfigView.of(cfg, splits=("train", "val")))


def test_what_agrees_needs_no_words():
    assert problems(preprocessor=dict(size=(9, 9), seg_pad_val=255)) == []


@pytest.mark.parametrize(
    ("config", "named"),
    [
        (dict(metric=dict(ignore_index=254)), "val_evaluator.ignore_index=254"),
        (
            dict(preprocessor=dict(size=(9, 9), seg_pad_val=200)),
            "model.data_preprocessor.seg_pad_val=200",
        ),
        (
            dict(
                head=dict(ignore_index=0),
                preprocessor=dict(size=(9, 9)),
                metric=dict(ignore_index=0),
            ),
            "model.data_preprocessor.seg_pad_val=255",
        ),
        (
            dict(steps=[dict(type="RandomRotate", prob=1, degree=9, seg_pad_val=99)]),
            "RandomRotate.seg_pad_val=99",
        ),
    ],
)
def test_a_place_that_takes_another_value_is_named(config, named):
    (line,) = problems(**config)
    assert named in line
    assert "Give all of them the same value" in line


def test_what_is_added_to_an_image_may_be_of_a_class():
    rotation = dict(type="RandomRotate", prob=1, degree=9, pad_val=0, seg_pad_val=0)
    assert problems(steps=[rotation], preprocessor=dict(size=(9, 9), seg_pad_val=3)) == []


def test_a_default_of_what_pads_nothing_is_no_disagreement():
    assert problems(head=dict(ignore_index=0), metric=dict(ignore_index=0)) == []
