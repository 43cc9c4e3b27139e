"""The proof that a dense network, subsampled, computes what the original does."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.layers.atrous.end_points import EndPoint, find_end_points
from mmseg_deeplab_ext.layers.atrous.frames import (
    Frames,
    Outputs,
    example_for,
    running,
)
from mmseg_deeplab_ext.layers.atrous.plan import Plan
from mmseg_deeplab_ext.layers.atrous.seen import GlobalPool, Trace

TOLERANCE = 1e-9
"""Of the largest value, in float64."""


@dataclass(frozen=True)
class Proof:
    """How far a dense network is from the original.

    Attributes:
        same_weights: its parameters and buffers are the same tensors, under the same names.
        errors: end point -> largest difference at the positions that the original has, divided by
            the original's largest value. All means are those of the original's positions.
        errors_of_pools: the same with every mean over all positions, as the network is used; None
            where there are no such means.
    """

    same_weights: bool
    errors: dict[str, float]
    errors_of_pools: dict[str, float] | None

    @property
    def holds(self) -> bool:
        """Whether the two networks are the same."""
        return self.same_weights and all(each < TOLERANCE for each in self.errors.values())


def prove(
    model: nn.Module, dense: nn.Module, seen: Trace, plan: Plan, *, image_size: Sequence[int]
) -> Proof:
    """Compare a dense network with the original in float64, on a random image.

    Args:
        model: the original.
        dense: what became of it.
        seen: a run of the original.
        plan: what was changed.
        image_size: height and width, k * 32 + 1 each for a network of stride 32: on other sizes
            what pads as TensorFlow does pads the two networks differently.

    Raises:
        ConfigError: a network fails on such an image.
    """
    points = find_end_points(seen)
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(1, 3, *image_size, dtype=torch.float64, generator=generator)
    nominal, fine = (copy.deepcopy(each).double().cpu() for each in (model, dense))
    expected = _maps(nominal, image, points.values())

    def errors(pools: Sequence[GlobalPool]) -> dict[str, float]:
        maps, found = _maps(fine, image, points.values(), _rates(pools, plan.output_stride)), {}
        for stride, point in points.items():
            step, want = max(1, stride // plan.output_stride), expected[point.name]
            found[point.name] = _difference(maps[point.name][..., ::step, ::step], want)
        return found

    return Proof(
        same_weights=_weights(model) == _weights(dense),
        errors=errors(plan.pools),
        errors_of_pools=errors(()) if plan.pools else None,
    )


def check_sizes(dense: nn.Module, seen: Trace, output_stride: int) -> None:
    """Run a dense network once: do its branches agree, and are its maps as large as planned?

    Raises:
        ConfigError: they do not; the message names the module.
    """
    sizes: dict[tuple[str, int], tuple[int, ...]] = {}
    frames = Outputs(lambda key, out: sizes.update({key: tuple(out.shape[2:])}))
    advice = (
        f"It has branches that pad differently, which output_stride={output_stride} makes visible: "
        "use a larger one, or pads and pools that keep every position"
    )
    with running(dense, frames, seen.image_size, advice=advice):
        dense(example_for(dense, seen.image_size))
    for call in seen.calls:
        step, size = max(1, call.stride // output_stride), sizes.get((call.name, call.turn), ())
        if tuple(-(-side // step) for side in size) != call.size:
            raise ConfigError(
                f"{call.name} has {call.size} positions at stride {call.stride}, but its dense map "
                f"would have {size}: it strides in a way of its own. Use an output_stride of at "
                f"least {call.stride}"
            )


def _maps(
    model: nn.Module, image: Tensor, points: Iterable[EndPoint], rates: Any = None
) -> dict[str, Tensor]:
    keys, maps = {(point.name, point.turn) for point in points}, {}

    def take(key: tuple[str, int], out: Tensor) -> None:
        if key in keys:
            maps[key[0]] = out.clone()  # what follows may change it in place

    frames = Outputs(take)
    means = _NominalMeans(frames, rates) if rates else nullcontext()
    advice = "Prove it on a larger image, of k * 32 + 1 pixels"
    with running(model, frames, tuple(image.shape[-2:]), advice=advice), means:
        model(image)
    return maps


def _rates(pools: Sequence[GlobalPool], output_stride: int) -> dict:
    """(module, operation) of each global pool -> how much denser its map is, and where it is."""
    return {
        (pool.name, pool.operation): (pool.stride // output_stride, pool.dim)
        for pool in pools
        if pool.dim is not None
    }


class _NominalMeans(TorchDispatchMode):
    """Lets global pools see only the positions that the original network has."""

    def __init__(self, frames: Frames, rates: dict) -> None:
        super().__init__()
        self.frames, self.rates = frames, rates

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        kwargs, operation = kwargs or {}, func._schema.name.rpartition("::")[2]
        top = self.frames.stack[-1].name if self.frames.stack else ""
        rate, dim = self.rates.get((top, operation), (1, None))
        if dim is None or not isinstance(args[0], Tensor) or args[0].dim() <= dim + 1:
            return func(*args, **kwargs)
        some = (*[slice(None)] * dim, *[slice(None, None, rate)] * 2)
        if "batch_norm" in operation:
            return _batch_norm(args, some)
        if operation == "native_group_norm":
            return _group_norm(func, args, some)
        return func(args[0][some], *args[1:], **kwargs)


def _batch_norm(args: Sequence[Any], some: tuple[slice, ...]) -> Any:
    """A norm of each channel, or of each image's (instance norm), with their statistics."""
    x, weight, bias, eps = *args[:3], args[-1]
    variance, mean = torch.var_mean(x[some], (0, 2, 3), correction=0)
    out = nn.functional.batch_norm(x, mean, variance, weight, bias, eps=eps)
    return out, mean, variance


def _group_norm(func: Any, args: Sequence[Any], some: tuple[slice, ...]) -> Any:
    """A group norm with the statistics of some positions."""
    x, weight, bias, *sizes, groups, eps = args
    part = x[some].contiguous()
    _, mean, rstd = func(part, None, None, *sizes[:2], part.shape[2] * part.shape[3], groups, eps)
    shape = (x.shape[0], groups, 1)
    out = (x.reshape(*shape[:2], -1) - mean.reshape(shape)) * rstd.reshape(shape)
    scale = (each.reshape(1, -1, 1, 1) for each in (weight, bias))
    return out.reshape(x.shape) * next(scale) + next(scale), mean, rstd


def _difference(maps: Tensor, expected: Tensor) -> float:
    if maps.shape != expected.shape:
        return float("inf")
    largest = expected.abs().max()
    # A map of zeros or of no numbers proves nothing.
    return float((maps - expected).abs().max() / largest) if largest > 0 else float("inf")


def _weights(model: nn.Module) -> dict[str, int]:
    return {name: id(each) for name, each in (*model.named_parameters(), *model.named_buffers())}
