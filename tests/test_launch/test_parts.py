"""Types and keys of every part that MMEngine builds, compared with the classes before the start."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import mmseg
import pytest
from mmengine.config import Config
from mmengine.registry import MODELS
from mmseg.registry import MODELS as HOST_MODELS
from torch import nn

from mmseg_deeplab_ext.building import building
from mmseg_deeplab_ext.config_view import ConfigView
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.launch.checks.before_start import check_inference_config
from mmseg_deeplab_ext.launch.checks.constructor_keys import keys_of
from mmseg_deeplab_ext.launch.checks.parts import problems_of_parts

REPO = Path(__file__).resolve().parents[2]
LEFT = "where a _base_ file has that type, put `_delete_=True` into the dictionary that replaces it"


@pytest.fixture(scope="module")
def demo() -> Config:
    return Config.fromfile(REPO / "configs/deeplabv3plus_r18beta_demo.py")


def problems(cfg: Config, options: dict[str, Any]) -> list[str]:
    cfg = copy.deepcopy(cfg)
    cfg.merge_from_dict(options)
    return problems_of_parts(ConfigView.of(cfg))


@pytest.mark.parametrize(
    ("option", "value", "wanted"),
    [
        ("optim_wrapper.optimizer.type", "AdamW", "AdamW takes no key 'momentum'. SGD takes it: "),
        ("optim_wrapper.optimizer.weight_decy", 0.1, "Did you mean 'weight_decay'?"),
        ("optim_wrapper.accumulativ_counts", 2, "Did you mean 'accumulative_counts'?"),
        ("optim_wrapper.clip_grad", {"max_nrom": 1}, "Did you mean 'max_norm'?"),
        ("optim_wrapper.type", "AmpOptimWraper", "Did you mean 'AmpOptimWrapper'?"),
        ("param_scheduler.1.powr", 2, "param_scheduler[1]: PolyLR takes no key 'powr'."),
        ("model.decode_head.aspp_squeze", "sigmoid", "Did you mean 'aspp_squeeze_excite'?"),
        ("train_cfg.max_iter", 3, "IterBasedTrainLoop takes no key 'max_iter'. Did you mean"),
        ("train_cfg.type", "IterBasedTrainLop", "Did you mean 'IterBasedTrainLoop'?"),
        ("val_cfg.fp61", True, "val_cfg: ValLoop takes no key 'fp61'. Did you mean 'fp16'?"),
        ("train_dataloader.batchsize", 3, "Did you mean 'batch_size'?"),
        ("train_dataloader.sampler.shufle", True, "Did you mean 'shuffle'?"),
        ("train_dataloader.dataset.data_rot", "x", "Did you mean 'data_root'?"),
        ("train_dataloader.dataset.pipeline.2.crop_sise", 1, "dataset.pipeline[2]: RandomCrop ta"),
        ("train_dataloader.dataset.pipeline.3.type", "RandomFlipp", "Did you mean 'RandomFlip'?"),
        ("test_dataloader.collate_fn", {"type": "pseudo_colate"}, "'pseudo_collate'?"),
        ("default_hooks.logger.intervall", 5, "LoggerHook takes no key 'intervall'."),
        ("default_hooks.checkpoint.max_keep_ckpt", 5, "Did you mean 'max_keep_ckpts'?"),
        ("default_hooks.chekpoint.interval", 5, "has no `type`. Did you mean 'checkpoint'?"),
        ("custom_hooks.0.typ", "GlobalBatchSizeHook", "GlobalBatchSizeHook takes no key 'typ'."),
        ("val_evaluator.ignore_indx", 0, "val_evaluator: IoUMetric takes no key 'ignore_indx'."),
        ("val_evaluator.type", "IouMetric", "type 'IouMetric' is in no registry. Did you mean 'Io"),
        (
            "model.backbone",
            {"type": "MobileNetV2", "_delete_": True, "output_stride": 8},
            "Only the prefix is missing: type='mmseg_deeplab_ext.MobileNetV2' takes it.",
        ),
        ("model.backbone.output_strid", 8, "Did you mean 'output_stride'?"),
        ("model.decode_head.num_clases", 8, "Did you mean 'num_classes'?"),
        (
            "model.decode_head.loss_decode",
            {"type": "CrossEntropyLoss", "los_weight": 1},
            "Did you mean 'loss_weight'?",
        ),
        ("model.decode_head.norm_cfg.momentm", 1, "Did you mean 'momentum'?"),
        ("model.data_preprocessor.men", [0], "Did you mean 'mean'?"),
        ("model.type", "mmdet.MaskFormer", "Is the package 'mmdet' installed?"),
        ("visualizer.vis_backends.0.type", "TensorboardBackend", "'TensorboardVisBackend'?"),
        ("log_processor.window_sise", 5, "Did you mean 'window_size'?"),
        ("randomness.sed", 5, "Did you mean 'seed'?"),
    ],
)
def test_a_wrong_type_or_key_is_one_line_that_names_place_and_cure(
    demo: Config, option: str, value: Any, wanted: str
) -> None:
    (line,) = problems(demo, {option: value})
    assert wanted in line
    assert line.startswith(option.split(".")[0])
    assert "\n" not in line


class Constructor:
    """A user's, which gets the whole of optim_wrapper."""


ALBU = {"type": "Albu", "transforms": [{"type": "RandomRotate90", "p": 0.5}]}


@pytest.mark.parametrize(
    "option",
    [
        {"train_dataloader.dataset.pipeline": [ALBU]},
        {"optim_wrapper.constructor": Constructor, "optim_wrapper.generator": {"lr": 1}},
        {"model.backbone.init_cfg": {"type": "numpy.OfNoRegistry", "_delete_": True}},
    ],
)
def test_what_others_build_is_left_to_them(demo: Config, option: dict[str, Any]) -> None:
    assert problems(demo, option) == []


def test_a_type_of_ours_without_its_prefix_is_told_the_prefix(
    demo: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(HOST_MODELS.module_dict, "ResNetV1Beta", raising=False)  # no plugin loaded
    (line,) = problems(demo, {"model.backbone.type": "ResNetV1Beta"})
    assert "Only the prefix is missing: type='mmseg_deeplab_ext.ResNetV1Beta'." in line


def test_keys_that_the_type_of_a_base_left_are_named_with_what_removes_them(demo: Config) -> None:
    loop = {"type": "EpochBasedTrainLoop", "max_epochs": 2}
    (line,) = problems(demo, {f"train_cfg.{key}": value for key, value in loop.items()})
    assert line == (
        "train_cfg: EpochBasedTrainLoop takes no key 'max_iters'. IterBasedTrainLoop takes it: "
        f"{LEFT}."
    )
    demo = copy.deepcopy(demo)
    demo.train_cfg = {"by_epoch": True, "max_epochs": 2}
    assert problems(demo, {}) == []


def test_only_what_a_run_uses_is_looked_at(demo: Config) -> None:
    cfg = copy.deepcopy(demo)
    cfg.train_cfg.max_iter = cfg.val_evaluator.ignore_indx = 3
    assert len(problems_of_parts(ConfigView.of(cfg))) == 2
    assert problems_of_parts(ConfigView.of(cfg, splits=("test",))) == []
    check_inference_config(cfg)
    cfg.model.backbone.dept = 18
    with pytest.raises(ConfigError, match="Did you mean 'depth'"):
        check_inference_config(cfg)
    with pytest.raises(ConfigError, match="'LoadImageFromFile'"):
        check_inference_config(demo, pipeline=[{"type": "LoadImageFromFil"}])


def test_a_scope_that_a_package_base_put_into_a_part_holds_inside_it(demo: Config) -> None:
    cfg = copy.deepcopy(demo)
    cfg.model.backbone.type = "ResNetV1Beta"
    cfg.model._scope_ = "mmseg_deeplab_ext"
    assert problems(cfg, {}) == []


def test_no_config_of_ours_or_of_mmsegmentation_is_refused() -> None:
    theirs = sorted((Path(mmseg.__file__).parent / ".mim/configs").glob("*/*.py"))
    paths = [*(REPO / "configs").glob("*/deeplab*.py"), *theirs[::60]]
    for path in paths:
        # OpenMMLab's other packages need not be there.
        lines = problems_of_parts(ConfigView.of(Config.fromfile(path)))
        assert [line for line in lines if "is the package" not in line.lower()] == [], path


class Base:
    def __init__(self, width: int, **rest: Any) -> None:
        self.rest = rest


class HandsOn(nn.Module):
    def __init__(self, depth: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)


class Renamed(HandsOn):
    def __init__(self, *args: Any, name: str, **kwargs: Any) -> None:
        kwargs.pop("old_name", None)
        super().__init__(*args, **kwargs)


def test_keywords_are_followed_only_where_they_are_handed_on() -> None:
    assert keys_of(HandsOn).names == {"depth"}
    assert keys_of(HandsOn).complete
    assert not keys_of(Base).complete
    assert not keys_of(Renamed).complete
    assert keys_of(int) is None


def _of_the_user(kind: type) -> None:
    raise KeyError(kind.__name__)


def test_what_a_constructor_refuses_is_one_line_and_a_fault_elsewhere_keeps_its_traceback() -> None:
    with pytest.raises(ConfigError, match="^model can't be built: TypeError: .*'widht'"):
        with building("model"):
            MODELS.build({"type": nn.Linear, "widht": 3})
    with pytest.raises(KeyError):
        with building("model"):
            _of_the_user(Base)
