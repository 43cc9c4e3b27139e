"""Mixed precision: --amp, and what becomes of it on a CPU."""

import pytest
from mmengine.config import Config
from mmengine.optim import AmpOptimWrapper, OptimWrapper

from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.launch.adapt.amp import CPU_AMP, enable_amp, use_cpu_amp


def config(**wrapper):
    return Config({"optim_wrapper": {"optimizer": {"type": "SGD", "lr": 0.1}, **wrapper}})


def test_amp_switches_the_wrapper_with_a_dynamic_loss_scale():
    cfg = config(type="OptimWrapper", clip_grad={"max_norm": 1})
    assert enable_amp(cfg) == []
    assert cfg.optim_wrapper.type == "AmpOptimWrapper"
    assert cfg.optim_wrapper.loss_scale == "dynamic"
    assert cfg.optim_wrapper.clip_grad.max_norm == 1


def test_amp_keeps_a_config_that_has_it_already():
    cfg = config(type="AmpOptimWrapper", loss_scale=512.0)
    (note,) = enable_amp(cfg)
    assert "already" in note
    assert cfg.optim_wrapper.loss_scale == 512.0


def test_a_lazy_config_has_the_classes_in_the_place_of_names():
    cfg = config(type=OptimWrapper)
    assert enable_amp(cfg) == []
    assert cfg.optim_wrapper.type == "AmpOptimWrapper"
    assert "already" in enable_amp(config(type=AmpOptimWrapper))[0]
    assert "bfloat16" in use_cpu_amp(config(type=AmpOptimWrapper))[0]


def test_amp_refuses_a_wrapper_without_counterpart_and_names_it():
    with pytest.raises(ConfigError, match="'ApexOptimWrapper'"):
        enable_amp(config(type="ApexOptimWrapper"))


def test_on_a_cpu_the_keys_that_only_a_gpu_knows_are_dropped():
    cfg = config(type="AmpOptimWrapper", loss_scale="dynamic", dtype="float16", use_fsdp=False)
    (note,) = use_cpu_amp(cfg)
    assert "bfloat16" in note
    assert dict(cfg.optim_wrapper) == {"type": CPU_AMP, "optimizer": {"type": "SGD", "lr": 0.1}}


@pytest.mark.parametrize("cfg", [config(type="OptimWrapper"), Config({})])
def test_on_a_cpu_a_config_without_amp_stays_as_it_is(cfg):
    before = cfg.pretty_text
    assert use_cpu_amp(cfg) == []
    assert cfg.pretty_text == before
