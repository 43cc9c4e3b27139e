"""A trained segmentor's ``.pth`` as a TensorFlow checkpoint, under the official names."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Iterable, Mapping, Sequence

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from mmseg_deeplab_ext.checkpoints.writer import write_checkpoint
from mmseg_deeplab_ext.conversion.comparison import differences, problem_lines, weight_shapes
from mmseg_deeplab_ext.conversion.pth import load_pth, state_dict_of
from mmseg_deeplab_ext.errors import CheckpointMismatchError, ConfigError
from mmseg_deeplab_ext.specs.network import rules_of_model
from mmseg_deeplab_ext.specs.rule import Rule
from mmseg_deeplab_ext.wording import listed

GLOBAL_STEP = "global_step"
"""TensorFlow's variable for the number of training steps taken, an int64 scalar."""

_NO_PLACE = (
    "without a place in TensorFlow's network (an auxiliary head is left out with "
    "--drop auxiliary_head)"
)
_EXACT_AS_FLOAT32 = (torch.float32, torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Export:
    """What an export has done.

    Attributes:
        num_variables: Number of weights written.
        global_step: The training step written; None where the ``.pth`` does not know it.
        dropped: Names of the tensors that were left out on request.
    """

    num_variables: int
    global_step: int | None
    dropped: tuple[str, ...]


def export_checkpoint(
    cfg: Config,
    checkpoint: str,
    prefix: str | os.PathLike[str],
    *,
    drop: Sequence[str] = (),
    overwrite: bool = False,
) -> Export:
    """Write a ``.pth`` as a TensorFlow checkpoint.

    Args:
        cfg: Config of the segmentor.
        checkpoint: Its weights: a file, or an address with a scheme that MMEngine knows.
        prefix: What the names of the new files start with, as in ``folder/model.ckpt``.
        drop: Modules of the segmentor to leave out, such as ``auxiliary_head``.
        overwrite: Replace a checkpoint that is there already.

    Raises:
        ConfigError: The config has no model.
        CheckpointError: The ``.pth`` can't be read or does not fit the model, TensorFlow's DeepLab
            has no such network, or the files can't be written.
    """
    if cfg.get("model") is None:
        raise ConfigError(f"{cfg.filename} has no `model`, so it is no config of a segmentor")
    content = load_pth(checkpoint)
    init_default_scope(cfg.get("default_scope") or "mmseg")
    model = MODELS.build(cfg.model)
    state = state_dict_of(content, source=checkpoint)
    dropped = _names_below(drop, state)
    kept = {name: tensor for name, tensor in state.items() if name not in dropped}
    tensors = to_tensorflow(model, kept)
    num_variables = len(tensors)
    step = (content.get("meta") or {}).get("iter")
    if step is not None:
        tensors[GLOBAL_STEP] = np.array(step, np.int64)
    write_checkpoint(prefix, tensors, overwrite=overwrite)
    return Export(num_variables=num_variables, global_step=step, dropped=tuple(sorted(dropped)))


def to_tensorflow(
    model: torch.nn.Module, state_dict: Mapping[str, torch.Tensor]
) -> dict[str, np.ndarray]:
    """Give the tensors of a segmentor TensorFlow's names and layouts.

    Args:
        model: The built segmentor; its own values don't matter.
        state_dict: Weights of such a segmentor.

    Returns:
        float32 variables by their official names; where possible they share the tensors' memory.

    Raises:
        CheckpointMismatchError: The segmentor is none of TensorFlow's DeepLab, or the state dict
            is not exactly the segmentor's. Batch norm's ``num_batches_tracked`` is passed over.
    """
    rules = rules_of_model(model)
    _check(rules, expected=model.state_dict(), found=state_dict)
    return {
        rule.tf_name: rule.to_tf(state_dict[rule.torch_name].detach().cpu().float().numpy())
        for rule in rules
    }


def _names_below(modules: Sequence[str], names: Iterable[str]) -> set[str]:
    below = {module: {n for n in names if n.startswith(f"{module}.")} for module in modules}
    without = [module for module in modules if not below[module]]
    if without:
        raise CheckpointMismatchError(
            f"to be dropped, but without any tensor in the .pth: {listed(without)}"
        )
    return set().union(*below.values())


def _check(
    rules: Sequence[Rule],
    *,
    expected: Mapping[str, torch.Tensor],
    found: Mapping[str, torch.Tensor],
) -> None:
    """Find everything in a state dict that does not fit, and tell it at once."""
    wanted = {rule.torch_name: tuple(expected[rule.torch_name].shape) for rule in rules}
    problems = differences(weight_shapes(found), wanted)
    problems["not exactly convertible to float32"] = [
        f"{name} {found[name].dtype}"
        for name in wanted
        if name in found and found[name].dtype not in _EXACT_AS_FLOAT32
    ]
    problems[_NO_PLACE] = problems.pop("left over in the file")
    lines = problem_lines(problems)
    if lines:
        raise CheckpointMismatchError(
            "\n".join(["the tensors do not fit the model of the config:", *lines])
        )
