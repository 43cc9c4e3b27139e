"""From a TensorFlow checkpoint to a PyTorch state dict."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from mmseg_deeplab_ext.checkpoints.errors import (
    CheckpointMismatchError,
    CheckpointUnsupportedError,
)
from mmseg_deeplab_ext.checkpoints.networks import Network
from mmseg_deeplab_ext.checkpoints.plan import Plan, listed, make_plan
from mmseg_deeplab_ext.checkpoints.reader import Checkpoint

_BLOCK = 64  # 3x3 kernels between 64 and 64 channels: 144 KiB on either side of the copy


def plan_conversion(
    checkpoint: Checkpoint,
    *,
    ema: str = "auto",
    drop_logits: bool = False,
    ignore: Sequence[str] = (),
) -> Plan:
    """Account for every variable, names and shapes; no value is read.

    Args:
        checkpoint: an open checkpoint.
        ema: see :func:`mmseg_deeplab_ext.checkpoints.plan.make_plan`, as the next two.
        drop_logits: leave out the last layer.
        ignore: names of further variables to leave out.

    Raises:
        CheckpointMismatchError: variables are missing, left over, or have other shapes than those
            of the network that they look like.
        CheckpointUnsupportedError: the network is one that this version does not build.
    """
    shapes = {name: checkpoint.shape(name) for name in checkpoint}
    try:
        plan = make_plan(shapes, ema=ema, drop_logits=drop_logits, ignore=ignore)
        _check_contents(plan, checkpoint)
    except (CheckpointMismatchError, CheckpointUnsupportedError) as error:
        raise type(error)(f"{checkpoint.path}: {error}") from error
    return plan


def read_state_dict(checkpoint: Checkpoint, plan: Plan) -> dict[str, Tensor]:
    """Read and rearrange what a plan uses.

    Args:
        checkpoint: the checkpoint that the plan was made for.
        plan: what :func:`plan_conversion` returned.

    Returns:
        Tensors in float32, contiguous, under the names of a segmentor (``backbone.``,
        ``decode_head.``).

    Raises:
        CheckpointError: the file is damaged.
    """
    state_dict = {}
    for rule, name in plan.sources:
        # read() gives memory of our own, freed once rearranged; mapped pages would stay.
        value = _contiguous_float32(rule.to_torch(checkpoint.read(name)))
        state_dict[rule.torch_name] = torch.from_numpy(value)
    return state_dict


def _contiguous_float32(value: np.ndarray) -> np.ndarray:
    """Copy an array in C order as float32, or return it if it is that.

    A kernel whose axes were exchanged is copied in blocks of its first two axes: read in the order
    of the result, almost every element would come from another cache line and memory page (three
    times the time for a whole ResNet-101).
    """
    if value.ndim < 2 or value.flags.c_contiguous:
        return value.astype(np.float32, order="C", copy=False)
    result = np.empty(value.shape, np.float32)
    for first in range(0, value.shape[0], _BLOCK):
        for second in range(0, value.shape[1], _BLOCK):
            block = np.s_[first : first + _BLOCK, second : second + _BLOCK]
            result[block] = value[block]
    return result


def expected_shapes(
    network: Network, *, model: Mapping[str, Any] | None = None
) -> dict[str, tuple[int, ...]]:
    """Shapes of a network's state dict, from modules built without memory for their values.

    Args:
        network: the network. The names start with ``backbone.`` and ``decode_head.``.
        model: config of a model that builds it; by default only what the weights decide.

    Raises:
        ConfigError: the network can't be built with this config.
    """
    # Only now: the registry imports all of MMSegmentation.
    from mmseg_deeplab_ext.registry import MODELS

    shapes = {}
    configs = network.configs()
    for key in configs:
        config = dict((model or configs)[key])
        if config.get("num_classes", 21) is None:
            config["num_classes"] = 21  # dropped logits: any number will do
        with torch.device("meta"):
            module = MODELS.build(config)
        for name, tensor in module.state_dict().items():
            shapes[f"{key}.{name}"] = tuple(tensor.shape)
    return shapes


def _check_contents(plan: Plan, checkpoint: Checkpoint) -> None:
    """Demand the shapes of the network, and floating-point numbers."""
    expected = expected_shapes(plan.network)
    problems = []
    for rule, name in plan.sources:
        found, wanted = checkpoint.shape(name), rule.tf_shape(expected[rule.torch_name])
        if found != wanted:
            problems.append(f"{name} {list(found)} instead of {list(wanted)}")
        if checkpoint.dtype(name).kind != "f":
            problems.append(f"{name} holds {checkpoint.dtype(name)} instead of float32")
    if problems:
        raise CheckpointMismatchError(
            f"the file looks like {plan.network}, but {len(problems)} variables differ: "
            f"{listed(problems)}"
        )
