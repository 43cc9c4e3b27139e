"""Parts of a config that are right alone and wrong together: named before the start."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmcv.transforms import BaseTransform
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmseg.datasets import BaseSegDataset
from mmseg.evaluation import IoUMetric
from PIL import Image

from mmseg_deeplab_ext.config_view import ConfigView
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.launch.adapt.loaders import load_without_workers
from mmseg_deeplab_ext.launch.adapt.outputs import write_predictions
from mmseg_deeplab_ext.launch.checks.before_start import check_config

REPO = Path(__file__).resolve().parents[2]
IMAGES_ONLY = [{"type": "LoadImageFromFile"}, {"type": "PackSegInputs"}]
EPOCHS = {"by_epoch": True, "max_epochs": 2, "val_interval": 1}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """The demo's config with two classes and two images."""
    root = tmp_path_factory.mktemp("data")
    for folder, picture in (("images", np.zeros((9, 9, 3))), ("labels", np.zeros((9, 9)))):
        (root / folder).mkdir()
        for name in "ab":
            suffix = "jpg" if folder == "images" else "png"
            Image.fromarray(picture.astype(np.uint8)).save(root / folder / f"{name}.{suffix}")
    (root / "all.txt").write_text("a\nb\n")
    cfg = Config.fromfile(REPO / "configs/deeplabv3plus_r18beta_demo.py")
    cfg.model.decode_head.num_classes = 2
    for split in ("train", "val", "test"):
        dataset = cfg[f"{split}_dataloader"].dataset
        dataset.metainfo = {"classes": ("sky", "sea")}
        dataset.update(
            data_root=str(root),
            data_prefix={"img_path": "images", "seg_map_path": "labels"},
            ann_file="all.txt",
        )
    return cfg


class NamesItsClasses(BaseSegDataset):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "metainfo": {"classes": ("sky", "sea")}})


class LoadTifMask(BaseTransform):
    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        return results


class OwnScores(IoUMetric):
    pass


class Prefixing(Evaluator):
    pass


def check(cfg: Config, splits: tuple[str, ...] = ("train", "val"), **changes: Any) -> list[str]:
    """Returns the warnings."""
    cfg = copy.deepcopy(cfg)
    for key, value in changes.items():
        place, _, last = key.replace("__", ".").rpartition(".")
        parent = cfg
        for step in filter(None, place.split(".")):
            parent = parent[int(step) if step.isdigit() else step]
        parent[last] = value
    return check_config(ConfigView.of(cfg, splits=splits))


def test_the_config_itself_is_sound(whole: Config) -> None:
    check(whole)
    check(whole, splits=("test",))
    loader = {"train_dataloader__sampler": {"type": "DefaultSampler"}, "train_cfg": EPOCHS}
    check(whole, **loader, param_scheduler={"type": "PolyLR"}, default_hooks__checkpoint=None)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        # Loops, samplers and what counts otherwise.
        (
            {"train_cfg": EPOCHS, "param_scheduler": None},
            r"an epoch of the InfiniteSampler never ends: set train_dataloader\.sampler=dict",
        ),
        (
            {"train_cfg": EPOCHS, "train_dataloader__sampler": {"type": "DefaultSampler"}},
            r"param_scheduler\[1\] counts iterations \(by_epoch=False\) and ends at 400, .* by "
            "epochs, 2 iterations at most",
        ),
        ({"param_scheduler": {"type": "PolyLR"}}, "param_scheduler counts epochs .*by_epoch=False"),
        ({"param_scheduler__0__by_epoch": True}, r"param_scheduler\[0\] counts epochs"),
        (
            {"default_hooks__checkpoint__by_epoch": True},
            "default_hooks.checkpoint counts epochs .* comes at the end at most",
        ),
        ({"train_cfg__val_begin": 401}, "val_begin=401 is after max_iters=400"),
        ({"default_hooks__checkpoint__interval": None}, "interval=None must be a whole number"),
        ({"train_cfg__val_interval": 0}, "val_interval=0 must be a whole number of at least 1"),
        (
            {
                "default_hooks__checkpoint__interval": 500,
                "default_hooks__checkpoint__save_last": False,
            },
            "interval=500 is longer than max_iters=400, and save_last is off",
        ),
        # Scores.
        (
            {"default_hooks__checkpoint__save_best": "mIou"},
            "save_best='mIou', but val_evaluator computes aAcc, mIoU, mAcc",
        ),
        (
            {"val_evaluator": {"type": "IoUMetric", "iou_metrics": "mDice", "prefix": "a"}},
            "save_best='mIoU', but val_evaluator computes a/aAcc, a/mDice, a/mAcc",
        ),
        (
            {"custom_hooks": [{"type": "EarlyStoppingHook", "monitor": "mFscore"}]},
            r"custom_hooks\[0\].monitor='mFscore', but val_evaluator computes",
        ),
        ({"val_dataloader__dataset__metainfo": {}}, "names no classes, which IoUMetric needs"),
        ({"val_dataloader__dataset__pipeline": IMAGES_ONLY}, "loads no labels, but val_evaluator"),
        # The label that does not count.
        (
            {"model__decode_head__ignore_index": 0},
            "decode_head.ignore_index=0 is .*: val_evaluator.ignore_index=255, "
            "model.data_preprocessor.seg_pad_val=255. Give all of them the same",
        ),
        ({"val_evaluator__ignore_index": 0}, "val_evaluator.ignore_index=0. Give"),
        (
            {
                "model__decode_head__ignore_index": 9,
                "model__data_preprocessor__seg_pad_val": 9,
                "val_evaluator__ignore_index": 9,
                "train_dataloader__dataset__reduce_zero_label": True,
            },
            "train_dataloader.dataset.reduce_zero_label makes label 0=255",
        ),
    ],
)
def test_what_does_not_go_together_is_named_with_the_keys_to_set(
    whole: Config, changes: dict[str, Any], wanted: str
) -> None:
    with pytest.raises(ConfigError, match=wanted):
        check(whole, **changes)


NO_VALIDATION = {"val_dataloader": None, "val_evaluator": None, "val_cfg": None}


@pytest.mark.parametrize(
    "changes",
    [
        {"val_dataloader__dataset__type": NamesItsClasses, "val_dataloader__dataset__metainfo": {}},
        {"val_evaluator__type": OwnScores, "default_hooks__checkpoint__save_best": "kappa"},
        {
            "val_evaluator": {"type": Prefixing, "metrics": [{"type": "IoUMetric"}]},
            "default_hooks__checkpoint__save_best": "a/mIoU",
        },
        *(
            {"val_dataloader__dataset__pipeline": [IMAGES_ONLY[0], loads, IMAGES_ONLY[1]]}
            for loads in ({"type": LoadTifMask}, {"type": "LoadBiomedicalData", "with_seg": True})
        ),
        {"train_cfg__val_interval": 1000.0},
    ],
)
def test_what_trains_is_not_refused(whole: Config, changes: dict[str, Any]) -> None:
    assert check(whole, **changes) == check(whole)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        (NO_VALIDATION, ["default_hooks.checkpoint.save_best='mIoU' has no effect: nothing val"]),
        ({**NO_VALIDATION, "train_cfg__val_interval": None}, ["save_best='mIoU' has no effect"]),
        ({"custom_hooks": [{"type": "ProfilerHook"}]}, ["custom_hooks[0] counts epochs"]),
        (
            {
                "default_hooks__checkpoint__by_epoch": True,
                "default_hooks__checkpoint__interval": -1,
            },
            ["default_hooks.checkpoint counts epochs"],
        ),
    ],
)
def test_what_trains_without_effect_is_a_warning(
    whole: Config, changes: dict[str, Any], wanted: list[str]
) -> None:
    before = check(whole)
    notes = [note for note in check(whole, **changes) if note not in before]
    assert len(notes) == len(wanted)
    assert all(part in note for part, note in zip(wanted, notes))


def test_a_test_set_without_labels_is_written_where_no_score_is_wanted(whole: Config) -> None:
    pipeline = {"test_dataloader__dataset__pipeline": IMAGES_ONLY}
    with pytest.raises(ConfigError, match=r"set test_evaluator\.format_only=True"):
        check(whole, ("test",), **pipeline)
    check(whole, ("test",), **pipeline, test_evaluator__format_only=True)


def test_metrics_of_others_may_compute_any_score(whole: Config) -> None:
    metrics = [{"type": "IoUMetric"}, {"type": "DepthMetric"}]
    check(whole, val_evaluator=metrics, default_hooks__checkpoint__save_best="rmse")


def test_predictions_are_written_by_the_iou_metric_however_it_is_nested() -> None:
    for evaluator in ({"type": "mmseg.IoUMetric"}, {"metrics": [{"type": "IoUMetric"}]}):
        cfg = Config({"test_evaluator": evaluator})
        write_predictions(cfg, "out")
        assert "'output_dir': 'out'" in str(cfg.test_evaluator)
    with pytest.raises(ConfigError, match="--out needs an IoUMetric"):
        write_predictions(Config({"test_evaluator": None}), "out")


def test_without_workers_nothing_of_workers_is_asked_of_pytorch() -> None:
    loader = {"num_workers": 0, "persistent_workers": True, "prefetch_factor": 4}
    cfg = Config({"train_dataloader": loader, "val_dataloader": {**loader, "num_workers": 2}})
    (note,) = load_without_workers(cfg)
    assert note.startswith("train_dataloader.num_workers=0: without workers there is no persist")
    assert cfg.train_dataloader == {"num_workers": 0}
    assert len(cfg.val_dataloader) == 3
