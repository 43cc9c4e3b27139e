"""Any convolutional network at any output stride: strides become dilations, weights stay."""

from __future__ import annotations

import copy
from typing import Any

from torch import nn

from mmseg_deeplab_ext.layers.atrous.dense_pools import DenseAvgPool2d, DenseMaxPool2d
from mmseg_deeplab_ext.layers.atrous.plan import Change, Plan, plan_output_stride
from mmseg_deeplab_ext.layers.atrous.proof import check_sizes
from mmseg_deeplab_ext.layers.atrous.seen import Trace
from mmseg_deeplab_ext.layers.atrous.trace import trace
from mmseg_deeplab_ext.layers.subsample import Subsample

__all__ = [
    "Plan",
    "Trace",
    "apply_plan",
    "check_sizes",
    "plan_output_stride",
    "to_output_stride",
    "trace",
]


def to_output_stride(
    model: nn.Module, output_stride: int, *, image_size: tuple[int, int] | None = None
) -> nn.Module:
    """The same network with denser maps: no stride beyond the wanted one, receptive fields kept.

    From where the stride is reached, every further stride becomes 1, and every later kernel larger
    than one pixel gets the dilation that keeps its field. So the dense map, subsampled, equals the
    original one. Means over whole maps (squeeze-and-excite, a classifier's pool) see more
    positions, and change a little: ``plan_output_stride(trace(model), output_stride).pools``.

    Args:
        model: any network that takes images [N, 3, H, W]; it is left as it is.
        output_stride: wanted ratio of image size to the size of the smallest map, one of those
            that the network has: 32, 16, 8, ...
        image_size: height and width of an image that the network can be run on, to see what it
            does; usual ones are tried if None.

    Returns:
        A copy whose parameters and buffers are the same tensors, under the same names.

    Raises:
        ConfigError: the stride is none that the network has, or something in it (attention, a
            resize, a pool that is no module) can't be made denser; the message names it.
    """
    seen = trace(model, image_size)
    dense = apply_plan(model, plan_output_stride(seen, output_stride))
    check_sizes(dense, seen, output_stride)
    return dense


def apply_plan(model: nn.Module, plan: Plan) -> nn.Module:
    """Copy a network, but not its weights, and change what is planned."""
    tensors = {id(each): each for each in (*model.parameters(), *model.buffers())}
    dense = copy.deepcopy(model, dict(tensors))
    for change in plan.changes:
        module = dense.get_submodule(change.name)
        if isinstance(module, nn.Conv2d):
            _dilate(module, change)
        elif isinstance(module, Subsample):
            module.stride = change.stride
        else:
            kind = DenseMaxPool2d if isinstance(module, nn.MaxPool2d) else DenseAvgPool2d
            pool: Any = kind(module, stride=change.stride, dilation=change.rate)
            for parent in list(dense.modules()):  # one module may have several places
                names = [name for name, child in parent._modules.items() if child is module]
                for name in names:
                    setattr(parent, name, pool)
    return dense


def _dilate(conv: nn.Conv2d, change: Change) -> None:
    conv.stride = (change.stride, change.stride)
    if max(conv.kernel_size) > 1:
        conv.dilation = tuple(each * change.rate for each in conv.dilation)
    if not isinstance(conv.padding, str):
        conv.padding = tuple(each * change.rate for each in conv.padding)
