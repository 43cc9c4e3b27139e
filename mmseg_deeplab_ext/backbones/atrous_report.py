"""What ``python -m mmseg_deeplab_ext atrous`` prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Iterator, Sequence

from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

from mmseg_deeplab_ext.backbones.classifiers import build_network
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.layers.atrous import (
    Plan,
    Trace,
    apply_plan,
    check_sizes,
    plan_output_stride,
    trace,
)
from mmseg_deeplab_ext.layers.atrous.end_points import find_end_points
from mmseg_deeplab_ext.layers.atrous.proof import TOLERANCE, prove


def report(
    name: str, output_stride: int, *, verify: bool, image_size: tuple[int, int] | None
) -> int:
    """Print what changes in a network for an output stride, and with ``verify`` the proof.

    Args:
        name: a config file with ``model.backbone``, or a name as
            :class:`mmseg_deeplab_ext.AtrousBackbone` takes it.
        output_stride: wanted ratio of image size to final feature size.
        verify: compare the two networks, too.
        image_size: height and width of an image that the network can be run on.

    Returns:
        0, or 1 where the proof fails.

    Raises:
        ConfigError: there is no such network, or it can't be made dense.
    """
    model = _model(name)
    seen = trace(model, image_size)
    plan = plan_output_stride(seen, output_stride)
    dense = apply_plan(model, plan)
    check_sizes(dense, seen, output_stride)
    print("\n".join(_changes(seen, plan)))
    return _proof(model, dense, seen, plan) if verify else 0


def _model(name: str) -> nn.Module:
    if not name.endswith(".py"):
        return build_network(name)
    if not Path(name).is_file():
        raise ConfigError(f"there is no config file {name}")
    init_default_scope("mmseg")
    backbone = dict(Config.fromfile(name).get("model", {}).get("backbone", {}))
    if not backbone:
        raise ConfigError(f"{name} has no model.backbone")
    if str(backbone.get("type")).endswith("AtrousBackbone"):
        return build_network(backbone["network"], backbone.get("arguments"))
    return build_network(backbone)


def _changes(seen: Trace, plan: Plan) -> Iterator[str]:
    yield f"{len(plan.changes)} modules change for output_stride={plan.output_stride}:"
    yield from (f"  {change}" for change in plan.changes)
    yield "Last maps of each stride:"
    for point in find_end_points(seen).values():
        now = f", now {plan.output_stride}" * (point.stride > plan.output_stride)
        yield f"  stride {point.stride}{now}: {point.channels} channels, {point.name}"
    if plan.pools:
        yield "Means over the whole map, which change a little with its density:"
        yield from (f"  {pool.name or 'the network itself'}" for pool in plan.pools)


def _proof(model: nn.Module, dense: nn.Module, seen: Trace, plan: Plan) -> int:
    size: Sequence[int] = [(side - 1) // 32 * 32 + 1 for side in seen.image_size]
    proof = prove(model, dense, seen, plan, image_size=size)
    print(f"Weights: {'the same tensors' if proof.same_weights else 'NOT the same tensors'}")
    means = " (means taken over the original's positions)" * bool(plan.pools)
    print(f"Dense maps, subsampled, against the original's, {size[0]}x{size[1]}, float64{means}:")
    print("\n".join(_errors(proof.errors)))
    if proof.errors_of_pools:
        print("With means over all positions, as the network is used:")
        print("\n".join(_errors(proof.errors_of_pools)))
    print(
        f"Proved: no difference above {TOLERANCE} of the largest value."
        if proof.holds
        else f"NOT proved: a difference is above {TOLERANCE} of the largest value."
    )
    return 0 if proof.holds else 1


def _errors(errors: dict[str, Any]) -> Iterator[str]:
    width = max(map(len, errors))
    return (f"  {name:<{width}}  {error:.1e}" for name, error in errors.items())
