"""What changes in a network for an output stride, decided from what was seen in a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.layers.atrous.seen import GlobalPool, Trace, Window
from mmseg_deeplab_ext.layers.subsample import Subsample


@dataclass(frozen=True)
class Change:
    """How one module is run on the dense map.

    Attributes:
        name: of the module.
        module: the module in the original network.
        stride: its new one.
        rate: what multiplies its dilation and padding.
    """

    name: str
    module: nn.Module
    stride: int
    rate: int

    def __str__(self) -> str:
        kind = type(self.module).__name__
        before = _number(self.module.stride)
        kernel = _number(getattr(self.module, "kernel_size", 1))
        dilation = self.rate * _number(getattr(self.module, "dilation", 1)) if kernel > 1 else 1
        return f"{self.name} ({kind}): stride {before} -> {self.stride}, dilation {dilation}"


@dataclass(frozen=True)
class Plan:
    """What changes for an output stride.

    Attributes:
        output_stride: the largest stride of the dense network's maps.
        changes: of modules, in the order of the run.
        pools: the global ones on maps that become denser: their results change.
    """

    output_stride: int
    changes: tuple[Change, ...]
    pools: tuple[GlobalPool, ...]


def plan_output_stride(seen: Trace, output_stride: Any) -> Plan:
    """Decide what changes.

    Args:
        seen: the run of the network.
        output_stride: wanted ratio of image size to the size of the smallest map.

    Raises:
        ConfigError: the network has no such stride, or something stands in the way.
    """
    whole = type(output_stride) is int
    for obstacle in seen.obstacles:
        if whole and obstacle.stride > output_stride:
            raise ConfigError(
                f"{obstacle.name or 'the network itself'} {obstacle.what}, at stride "
                f"{obstacle.stride}: on a denser map it would compute something else. Use an "
                f"output_stride of at least {obstacle.stride}, or a network of convolutions and "
                "pools alone"
            )
    reached = seen.strides
    if not whole or output_stride not in reached:
        raise ConfigError(
            f"output_stride={output_stride!r}: the maps of this network have the strides "
            f"{', '.join(map(str, reached))}, and one of them it must be. What is dilated already "
            "has to be built without; what moves positions about, as attention in windows does, "
            "can't be followed"
        )
    settings: dict[int, Change | None] = {}
    for window in seen.windows:
        change = _change(window, output_stride)
        if settings.setdefault(id(window.frame.module), change) != change:
            raise ConfigError(
                f"{window.frame.name or 'the network'} runs on maps of several strides, and would "
                "need a dilation for each: use an output_stride of at least "
                f"{window.stride * window.step}"
            )
    changes = tuple(filter(None, settings.values()))
    pools = tuple(pool for pool in seen.pools if pool.stride > output_stride)
    return Plan(output_stride, changes, pools)


def _change(window: Window, output_stride: int) -> Change | None:
    """How the module of a window is run; None where it stays as it is.

    Maps of up to the output stride keep their strides. Those of a larger one are ``rate`` times as
    dense as before: as much as their stride is larger.
    """
    after = window.stride * window.step
    if after <= output_stride:
        return None
    stride_now = min(window.stride, output_stride)
    rate, stride = window.stride // stride_now, output_stride // stride_now
    if stride_now * stride != output_stride or after % output_stride:
        raise ConfigError(
            f"output_stride={output_stride} can't be reached: {window.frame.name} goes from stride "
            f"{window.stride} to {after}"
        )
    module = window.frame.module
    _check(window)
    return Change(window.frame.name, module, stride, rate)


def _check(window: Window) -> None:
    """Raise a ConfigError unless the window belongs to a module that can be changed."""
    module, name = window.frame.module, window.frame.name or "the network itself"
    kind = f"{type(module).__module__}.{type(module).__name__}"
    if isinstance(module, nn.Conv2d):
        even_same = module.padding == "same" and not all(k % 2 for k in module.kernel_size)
        if module.padding_mode != "zeros" or even_same:
            raise ConfigError(
                f"{name} pads with padding_mode={module.padding_mode!r}, padding="
                f"{module.padding!r}, which no dilation keeps: pad by numbers, with zeros"
            )
    elif type(module) not in (nn.MaxPool2d, nn.AvgPool2d, Subsample):
        raise ConfigError(
            f"{name} ({kind}) computes a {window.kernel[0]}x{window.kernel[1]} window with stride "
            f"{window.step} in its own way, at stride {window.stride}: only nn.Conv2d, nn.MaxPool2d"
            " and nn.AvgPool2d can be dilated. Replace that by one of these modules, or use an "
            f"output_stride of at least {window.stride * window.step}"
        )


def _number(value: Any) -> int:
    """The largest of a pair, or the number."""
    return max(value) if isinstance(value, tuple) else value
