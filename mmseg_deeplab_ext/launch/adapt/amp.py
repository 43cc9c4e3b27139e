"""``--amp``, and what becomes of mixed precision where there is no GPU."""

from __future__ import annotations

from typing import Any, Mapping

from mmengine.config import Config

from mmseg_deeplab_ext.errors import ConfigError

PLAIN = "OptimWrapper"
AMP = "AmpOptimWrapper"
CPU_AMP = "mmseg_deeplab_ext.CpuAmpOptimWrapper"
# Keys of AmpOptimWrapper that mean nothing without a loss scaler and a choice of dtype.
_GPU_ONLY_KEYS = ("loss_scale", "dtype", "use_fsdp")


def _kind(wrapper: Mapping[str, Any]) -> str:
    """The type's name; a lazy config has the class."""
    kind = wrapper.get("type", PLAIN)
    return kind if isinstance(kind, str) else kind.__name__


def enable_amp(cfg: Config) -> list[str]:
    """Switch a training to automatic mixed precision (``--amp``)."""
    wrapper = cfg.optim_wrapper
    kind = _kind(wrapper)
    if kind in (AMP, CPU_AMP, CPU_AMP.rpartition(".")[2]):
        return ["--amp: the config file has AMP training already."]
    if kind != PLAIN:
        raise ConfigError(
            f"--amp replaces an optim_wrapper of type {PLAIN!r}, but this config has {kind!r}. "
            f"Leave out --amp, or set optim_wrapper.type in the config."
        )
    wrapper.type = AMP
    wrapper.setdefault("loss_scale", "dynamic")
    return []


def use_cpu_amp(cfg: Config) -> list[str]:
    """Replace mixed precision that needs a GPU by bfloat16 autocast."""
    wrapper = cfg.get("optim_wrapper")
    if wrapper is None or _kind(wrapper) != AMP:
        return []
    wrapper.type = CPU_AMP
    for key in _GPU_ONLY_KEYS:
        wrapper.pop(key, None)
    return [f"No GPU: {AMP} is replaced by bfloat16 autocast on the CPU, which saves no time."]
