"""What our Runners do otherwise than MMEngine's, seen from a real one."""

from __future__ import annotations

import ast
import copy
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmseg.registry import MODELS, RUNNERS
from PIL import Image

import mmseg_deeplab_ext
from mmseg_deeplab_ext.launch.runner import CheckedEvaluation, CheckedRun, build_runner

PACKAGE = Path(mmseg_deeplab_ext.__file__).parent


@MODELS.register_module(force=True)
class SmallestModel(BaseModel):
    def __init__(self, decode_head, data_preprocessor=None):
        super().__init__(data_preprocessor)

    def forward(self, inputs, data_samples=None, mode="tensor"):
        return {"loss": torch.zeros(1)}


@RUNNERS.register_module(force=True)
class TheirRunner(Runner):
    pass


def loader(data_root):
    dataset = {
        "type": "BaseSegDataset",
        "data_root": str(data_root),
        "data_prefix": {"img_path": "images", "seg_map_path": "labels"},
        "metainfo": {"classes": ("sky", "sea")},
        "pipeline": [{"type": "LoadImageFromFile"}, {"type": "LoadAnnotations"}],
    }
    return {"batch_size": 1, "dataset": dataset, "sampler": {"type": "DefaultSampler"}}


@pytest.fixture
def cfg(tmp_path):
    for kind in ("images", "labels"):
        (tmp_path / kind).mkdir()
    Image.new("RGB", (4, 3)).save(tmp_path / "images" / "a.jpg")
    Image.new("L", (4, 3)).save(tmp_path / "labels" / "a.png")
    return Config(
        {
            "model": {"type": "SmallestModel", "decode_head": {"ignore_index": 7}},
            "work_dir": str(tmp_path / "work"),
            "experiment_name": tmp_path.name,  # else a logger of the same second is used again
            "default_scope": "mmseg",
            "launcher": "none",
            "train_cfg": {"by_epoch": False, "max_iters": 1},
            "train_dataloader": loader(tmp_path),
            "optim_wrapper": {"optimizer": {"type": "SGD", "lr": 0.1}},
            "test_cfg": {},
            "test_dataloader": loader(tmp_path),
            "test_evaluator": {"type": "IoUMetric"},
        }
    )


def build(cfg, changes, *, warnings=(), notes=()):
    return build_runner(cfg, changes, warnings=warnings, notes=notes)


def transforms(dataloader):
    return dataloader.dataset.pipeline.transforms


@pytest.mark.parametrize("split", ["train", "test"])
def test_what_is_loaded_is_checked_and_the_config_names_the_stock_transforms(cfg, split):
    before = copy.deepcopy(cfg.to_dict())
    runner = build(cfg, CheckedRun)
    image, labels = transforms(getattr(runner, f"{split}_dataloader"))
    assert type(image).__name__ == "CheckedLoadImageFromFile"
    assert type(labels).__name__ == "CheckedLoadAnnotations"
    assert labels.ignore_index == 7
    assert cfg.to_dict() == runner.cfg.to_dict() == before


def test_an_evaluation_asks_for_nothing_of_the_training(cfg):
    cfg.train_dataloader.dataset.data_root = "/nowhere"
    runner = build(cfg, CheckedEvaluation)
    assert (runner.iter, runner.epoch, runner.train_loop) == (0, 0, None)
    assert len(runner.test_dataloader) == 1


def test_what_is_said_of_a_config_reaches_the_log_file_with_its_level(cfg):
    runner = build(cfg, CheckedRun, warnings=["this is odd"], notes=["this was changed"])
    log = next(Path(runner.log_dir).glob("*.log")).read_text()
    assert "- WARNING - this is odd" in log
    assert "- INFO - this was changed" in log


def test_the_type_of_the_runner_may_be_the_users(cfg):
    cfg.runner_type = "TheirRunner"
    assert isinstance(build(cfg, CheckedRun), TheirRunner)


def test_nothing_of_ours_reaches_for_private_attributes_of_a_runner():
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                private = node.value.id == "runner" and node.attr.startswith("_")
                assert not private, f"{path}: runner.{node.attr}"
