"""Options and keys without effect: typing errors, and variables of the config file."""

from pathlib import Path

import mmseg
import pytest
from mmengine.config import Config

from mmseg_deeplab_ext.config_view import ConfigView
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.launch.checks.keys import check_options, notes_on_keys


@pytest.fixture
def cfg():
    return Config(
        {
            "max_iters": 30,
            "base_lr": 0.01,
            "norm_cfg": {"type": "BN"},
            "train_cfg": {"max_iters": 30},
            "param_scheduler": [{"type": "PolyLR", "end": 30}],
            "model": {"backbone": {"norm_cfg": {"type": "BN"}}},
            "optim_wrapper": {"optimizer": {"lr": 0.005}},
            "tta_pipeline": [],
        }
    )


@pytest.mark.parametrize(
    "option",
    [
        "model.backbone.depth",
        "train_cfg.max_iters",
        "tta_pipeline",
        "load_from",
        "global_batch_size",
        "sync_bn",
    ],
)
def test_what_the_runner_or_the_tools_read_may_be_set(cfg, option):
    check_options({option: 1}, cfg)


def test_an_unknown_key_is_refused_with_the_nearest_known_one(cfg):
    with pytest.raises(ConfigError, match="Did you mean 'train_cfg'"):
        check_options({"train_cgf.max_iters": 1}, cfg)


def test_a_variable_of_the_file_is_refused_with_the_keys_that_hold_its_value(cfg):
    with pytest.raises(ConfigError, match="'max_iters' is a variable of the config file") as caught:
        check_options({"max_iters": 3}, cfg)
    assert "same value: train_cfg.max_iters, param_scheduler.0.end." in str(caught.value)


def test_a_key_below_a_variable_of_the_file_is_refused_too(cfg):
    with pytest.raises(ConfigError, match=r"same value: model\.backbone\.norm_cfg\."):
        check_options({"norm_cfg.momentum": 0.1}, cfg)


def test_a_variable_that_others_were_computed_from_is_refused_with_general_advice(cfg):
    with pytest.raises(ConfigError, match="the keys that were made from it"):
        check_options({"base_lr": 1.0}, cfg)


def test_a_key_of_the_file_that_looks_like_one_that_is_read_is_suspected(cfg):
    assert notes_on_keys(ConfigView.of(cfg)) == []  # max_iters, base_lr and norm_cfg are variables
    cfg.optim_wraper = {"optimizer": {"lr": 0.5}}
    cfg.trian_cfg = {"max_iters": 5}
    cfg.model.test_cfg = {"mod": "slide"}
    cfg.optim_wrapper.paramwise_cfg = {"norm_decay_mul": 0.0}
    assert notes_on_keys(ConfigView.of(cfg)) == [
        "model.test_cfg.mod in the config is read by nothing: is it mode?",
        "optim_wraper in the config is read by nothing: is it optim_wrapper?",
        "optim_wrapper.paramwise_cfg.norm_decay_mul in the config is read by nothing: is it "
        "norm_decay_mult?",
        "trian_cfg in the config is read by nothing: is it train_cfg?",
    ]


def test_no_config_of_ours_or_of_mmsegmentation_is_suspected():
    folders = (Path(__file__).parents[2] / "configs", Path(mmseg.__file__).parent / ".mim/configs")
    theirs = [path for path in folders[1].glob("deeplabv3plus/*.py")][:20]
    ours = [path for path in folders[0].rglob("*.py") if "_base_" not in path.parts]
    assert len(ours) > 10
    assert len(theirs) == 20
    for path in ours + theirs:
        assert notes_on_keys(ConfigView.of(Config.fromfile(path))) == [], path
