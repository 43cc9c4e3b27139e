"""``tf://`` and ``tf-zoo://`` as checkpoint schemes of MMEngine, and the check that all fits.

MMEngine's loader of a scheme sees an address and returns tensors; what they are put into is not
known there, and its non-strict loading passes over wrong names and shapes with a log line. So the
tensors carry where they come from, and a hook of our modules, run before anything is loaded into
them, compares the two networks and raises.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping
from urllib.parse import parse_qsl

from mmengine.logging import print_log
from mmengine.runner import CheckpointLoader
from torch import Tensor, nn

from mmseg_deeplab_ext.checkpoints.convert import plan_conversion, read_state_dict
from mmseg_deeplab_ext.checkpoints.dataset_meta import checkpoint_meta
from mmseg_deeplab_ext.checkpoints.errors import CheckpointError, CheckpointMismatchError
from mmseg_deeplab_ext.checkpoints.networks import Backbone, Head, Network
from mmseg_deeplab_ext.checkpoints.plan import EMA_CHOICES, problem_lines
from mmseg_deeplab_ext.checkpoints.reader import Checkpoint, open_checkpoint
from mmseg_deeplab_ext.checkpoints.zoo import open_entry
from mmseg_deeplab_ext.checkpoints.zoo_table import SCHEME as ZOO_SCHEME

FILE_SCHEME = "tf://"
_OPTIONS: dict[str, dict[str, Any]] = {
    "ema": {choice: choice for choice in EMA_CHOICES},
    "drop_logits": {"true": True, "false": False},
}


@dataclass(frozen=True)
class _Origin:
    """Where a tensor comes from; it is an attribute of every tensor that the loader returns."""

    address: str
    network: Network


def load_from_tensorflow(address: str, map_location: Any = None) -> dict[str, Any]:
    """Load a TensorFlow checkpoint as MMEngine loads a ``.pth``.

    Args:
        address: ``tf://PATH`` with anything that :func:`open_checkpoint` takes, or
            ``tf-zoo://NAME``. Options may follow: ``?drop_logits=true&ema=always``.
        map_location: where the tensors go, as in ``torch.load``; devices and their names.

    Returns:
        ``meta`` and ``state_dict``, with the names of a segmentor.

    Raises:
        CheckpointError: the file can't be found, read, or understood.
    """
    checkpoint, options = open_address(address)
    with checkpoint:
        plan = plan_conversion(checkpoint, **options)
        state_dict = read_state_dict(checkpoint, plan)
    print_log(f"{address}: {plan.report()}", logger="current")
    origin = _Origin(address, plan.network)
    for name, tensor in state_dict.items():
        moved: Any = tensor if map_location is None else tensor.to(map_location)
        moved.tf_origin = origin
        state_dict[name] = moved
    return {"meta": checkpoint_meta(plan.network), "state_dict": state_dict}


for _scheme in (FILE_SCHEME, ZOO_SCHEME):
    CheckpointLoader.register_scheme(_scheme, load_from_tensorflow, force=True)


def is_address(checkpoint: str) -> bool:
    """Whether a checkpoint is named in one of the two schemes."""
    return checkpoint.startswith((FILE_SCHEME, ZOO_SCHEME))


def open_address(address: str) -> tuple[Checkpoint, dict[str, Any]]:
    """Open the checkpoint that an address names.

    Args:
        address: as for :func:`load_from_tensorflow`, or a path without a scheme.

    Returns:
        The checkpoint, and the options as arguments of :func:`plan_conversion`.

    Raises:
        CheckpointError: it can't be opened, or there is no such option.
    """
    if not is_address(address):
        return open_checkpoint(address), {}
    place, _, query = address.partition("?")
    options = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if value not in _OPTIONS.get(key, {}):
            allowed = "; ".join(f"{key}={'|'.join(values)}" for key, values in _OPTIONS.items())
            raise CheckpointError(f"{address}: {key}={value} is no option; there are {allowed}")
        options[key] = _OPTIONS[key][value]
    if place.startswith(ZOO_SCHEME):
        return open_entry(place), options
    return open_checkpoint(place[len(FILE_SCHEME) :]), options


def take_tensorflow_weights(module: Any, tf_weights: Backbone | Head) -> None:
    """Let a module check and take weights that come from a TensorFlow checkpoint.

    Args:
        module: one of our backbones or heads, an ``nn.Module``.
        tf_weights: what it is in TensorFlow's terms; it is set as an attribute.
    """
    module.tf_weights = tf_weights
    module._register_load_state_dict_pre_hook(_check_weights, with_module=True)


def _check_weights(module: Any, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
    """Run before ``module`` takes what is below ``prefix`` in ``state_dict``; it may change that.

    Raises:
        CheckpointMismatchError: the tensors come from a TensorFlow checkpoint and don't fit.
    """
    origins = (getattr(value, "tf_origin", None) for value in state_dict.values())
    origin = next(filter(None, origins), None)
    if origin is None:
        return
    if prefix and origin.network.head is None:
        raise CheckpointMismatchError(
            f"{origin.address} holds {origin.network}, not a whole segmentor. Load it into the "
            f"backbone: model.backbone.init_cfg=dict(type='Pretrained', "
            f"checkpoint='{origin.address}')"
        )
    _drop_part_names(state_dict, prefix, module.tf_weights.prefix)
    found = {name[len(prefix) :]: tuple(value.shape) for name, value in state_dict.items()}
    problems = _differences(found, _wanted(module, origin))
    if problems:
        raise CheckpointMismatchError(_explain(module.tf_weights, origin, problems))


def _drop_part_names(state_dict: dict[str, Tensor], prefix: str, part: str) -> None:
    """Accept a segmentor's names in a part that is loaded alone: cut them, drop the other parts'.

    So ``init_cfg`` of a backbone works with ``prefix="backbone."`` and without.
    """
    start = prefix + part
    if not any(name.startswith(start) for name in state_dict):
        return
    for name in list(state_dict):
        value = state_dict.pop(name)
        if name.startswith(start):
            state_dict[prefix + name[len(start) :]] = value


def _wanted(module: nn.Module, origin: _Origin) -> dict[str, tuple[int, ...]]:
    """Name and shape of what the module needs from the file."""
    head = origin.network.head
    dropped = "conv_seg." if head is not None and head.num_classes is None else None
    return {
        name: tuple(value.shape)
        for name, value in module.state_dict().items()
        if not name.endswith("num_batches_tracked") and not (dropped and name.startswith(dropped))
    }


def _differences(found: Mapping[str, tuple], wanted: Mapping[str, tuple]) -> list[str]:
    shapes = [
        f"{name} {list(found[name])} in the file, {list(wanted[name])} in the model"
        for name in wanted
        if name in found and found[name] != wanted[name]
    ]
    problems = {
        "of another shape": shapes,
        "missing in the file": [name for name in wanted if name not in found],
        "left over in the file": [name for name in found if name not in wanted],
    }
    return problem_lines(problems)


def _explain(ours: Backbone | Head, origin: _Origin, problems: list[str]) -> str:
    """One sentence on the two networks, the config keys to change, and every tensor concerned."""
    key = ours.prefix.rstrip(".")
    network = origin.network
    theirs = network.backbone if isinstance(ours, Backbone) else network.head
    lines = [f"{origin.address} holds {network}; the config's model.{key} is {ours}."]
    if theirs is not None:
        wanted, present = theirs.config(), ours.config()
        changes = [
            f"{name}={value!r} (now {present.get(name)!r})"
            for name, value in wanted.items()
            if present.get(name) != value
        ]
        if changes:
            lines.append(f"To load it, change in model.{key}: {', '.join(changes)}.")
        if isinstance(theirs, Head) and theirs.num_classes != getattr(ours, "num_classes", None):
            lines.append(
                "To train another number of classes instead, leave the last layer out: "
                f"{origin.address}?drop_logits=true"
            )
    return "\n".join([*lines, *problems])
