"""A ``.pth`` of torchvision's segmentation networks as files for MMSegmentation."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Mapping

import torch
from mmengine.config import Config
from torch import Tensor

from mmseg_deeplab_ext.conversion.comparison import (
    Shapes,
    differences,
    problem_lines,
    weight_shapes,
)
from mmseg_deeplab_ext.conversion.config_file import config_text, name_classes
from mmseg_deeplab_ext.conversion.dataset_meta import UNKNOWN, meta_of_classes
from mmseg_deeplab_ext.conversion.finite import demand_finite
from mmseg_deeplab_ext.conversion.pth import load_pth, state_dict_of
from mmseg_deeplab_ext.conversion.to_mmseg import Outputs, write_files
from mmseg_deeplab_ext.conversion.torchvision_networks import (
    AUXILIARY,
    NETWORKS,
    PROJECTION,
    VOC_CLASSES,
    TorchvisionNetwork,
    names_and_shapes,
    published_weights,
)
from mmseg_deeplab_ext.errors import CheckpointMismatchError, CheckpointUnsupportedError
from mmseg_deeplab_ext.tool_paths import tool_path
from mmseg_deeplab_ext.wording import listed

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@dataclass(frozen=True)
class TorchvisionPlan:
    """What a file of torchvision is, and what becomes of its tensors.

    Attributes:
        source: the file's name, for messages.
        network: what it holds.
        num_classes: of its heads.
        cfg: the config that builds the same network.
        names: every weight of ours -> the tensor in the file.
        ignored: the file's other tensors: how many batches a batch norm has seen.
    """

    source: str
    network: TorchvisionNetwork
    num_classes: int
    cfg: Config
    names: Mapping[str, str]
    ignored: tuple[str, ...]

    def __str__(self) -> str:
        auxiliary = "with" if self.cfg.model.get("auxiliary_head") else "without"
        return (
            f"torchvision's {self.network.name}, {self.num_classes} classes, {auxiliary} "
            "auxiliary head"
        )

    def report(self) -> str:
        """A few lines for the user, as of a TensorFlow checkpoint's plan."""
        lines = [str(self), f"{len(self.names)} tensors used"]
        if self.ignored:
            lines.append(f"{len(self.ignored)} ignored: batches counted, which change nothing")
        return "\n".join([*lines, "0 missing"])

    def name_table(self) -> list[str]:
        """One line per tensor of the file: its name, and ours or why it is ignored."""
        targets = {theirs: f"-> {ours}" for ours, theirs in self.names.items()}
        targets.update(dict.fromkeys(self.ignored, "-- batches counted"))
        width = max(map(len, targets))
        return [f"{name:<{width}}  {target}" for name, target in targets.items()]


def load_torchvision(path: str) -> dict[str, Tensor]:
    """The tensors of a local file, a published one or of a training with torchvision's reference.

    One that holds more than plain data is refused.

    Raises:
        CheckpointError: there is no such file, it is damaged, or it holds other things.
    """
    content = load_pth(path)
    return state_dict_of(content.get("model", content), source=path)  # as the reference saves it


def plan_torchvision(state_dict: Mapping[str, Tensor], *, source: str) -> TorchvisionPlan:
    """Find out which network a file holds, from names and shapes, and account for every tensor.

    Args:
        state_dict: the file's.
        source: the file's name, for messages.

    Raises:
        CheckpointUnsupportedError: nothing in it is of a segmentation network of torchvision.
        CheckpointMismatchError: naming all tensors that are missing, of another shape, left over
            or no floating-point numbers.
    """
    shapes = weight_shapes(state_dict)
    network = min(NETWORKS, key=lambda network: _distance(shapes, network))
    if shapes.keys().isdisjoint(published_weights(network)):
        raise CheckpointUnsupportedError(
            f"{source} holds none of torchvision's segmentation networks "
            f"({', '.join(network.name for network in NETWORKS)}); it has {listed(list(shapes))}"
        )
    num_classes = network.num_classes(shapes)
    auxiliary = any(name.startswith(AUXILIARY) for name in shapes)
    cfg = network.whole_config(num_classes, auxiliary=auxiliary)
    ours = names_and_shapes(cfg)
    names = {name: network.their_name(name) for name in ours}
    ignored = tuple(name for name in state_dict if name not in shapes)
    plan = TorchvisionPlan(source, network, num_classes, cfg, names, ignored)
    problems = differences(shapes, {names[name]: shape for name, shape in ours.items()})
    problems["no floating-point numbers"] = [
        f"{name} {state_dict[name].dtype}"
        for name in names.values()
        if name in state_dict and state_dict[name].dtype not in _FLOATS
    ]
    lines = problem_lines(problems)
    if lines:
        raise CheckpointMismatchError(
            "\n".join([f"{source} looks like {plan}, but not completely:", *lines])
        )
    return plan


def _distance(shapes: Shapes, network: TorchvisionNetwork) -> int:
    """How many tensors of a file and of the published one have no like in the other."""
    return sum(map(len, differences(shapes, published_weights(network)).values()))


def segmentor_weights(state_dict: Mapping[str, Tensor], plan: TorchvisionPlan) -> dict[str, Tensor]:
    """The weights of a file under our names, in float32."""
    weights = {
        ours: state_dict[theirs].detach().float().contiguous()
        for ours, theirs in plan.names.items()
    }
    if PROJECTION in weights:
        kernel = weights[PROJECTION]
        weights[PROJECTION] = kernel.roll(kernel.shape[0], dims=1)  # by one branch
    demand_finite(weights, source=plan.source)
    return weights


def convert_torchvision(
    state_dict: Mapping[str, Tensor],
    plan: TorchvisionPlan,
    outputs: Outputs,
    *,
    dry_run: bool = False,
) -> None:
    """Write the files; each appears whole or not at all.

    Args:
        state_dict: the file's.
        plan: what :func:`plan_torchvision` returned for it.
        outputs: the files.
        dry_run: check everything and write nothing.

    Raises:
        CheckpointError: a weight is not finite, or a file can't be written.
    """
    outputs.check()
    content = {
        "meta": meta_of_classes(plan.num_classes),
        "state_dict": segmentor_weights(state_dict, plan),
    }
    texts = {} if outputs.config is None else {outputs.config: _config_text(plan, outputs)}
    if outputs.pth is not None and not dry_run:
        write_files(outputs.pth, content, texts)


def _config_text(plan: TorchvisionPlan, outputs: Outputs) -> str:
    cfg = plan.cfg
    if plan.num_classes != VOC_CLASSES:
        name_classes(cfg, plan.num_classes, UNKNOWN)
    cfg.load_from = str(outputs.pth)  # a training with this config starts from the weights
    command = f"python {tool_path('test.py')} {outputs.config} {outputs.pth}"
    title = f"{plan}, from {os.path.basename(plan.source)}."
    return config_text(cfg, title=title, command=command)
