"""Demand that weights from a TensorFlow checkpoint fit the modules they are loaded into.

MMEngine's non-strict loading passes over wrong names and shapes with a log line. So hooks of our
backbones and heads, run before anything is loaded into them, compare the two networks. Loading
goes module by module: a part whose weights nobody takes (its module is not ours) is found when the
module beside it first runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping

from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from mmseg_deeplab_ext.conversion.ade20k import ade20k_advice
from mmseg_deeplab_ext.conversion.plan import problem_lines
from mmseg_deeplab_ext.errors import CheckpointMismatchError
from mmseg_deeplab_ext.specs.networks import Backbone, Head, Network
from mmseg_deeplab_ext.tool_paths import tool_path


@dataclass(eq=False)
class Origin:
    """A TensorFlow checkpoint on its way into modules.

    Attributes:
        address: how messages name it.
        network: what it holds.
        left: names that no module has taken yet.
        problems: what did not fit in the parts seen so far.
        taken: whether a module has taken some.
        checks: hooks that find out at the first run whether all were taken.
    """

    address: str
    network: Network
    left: set[str]
    problems: list[str] = field(default_factory=list)
    taken: bool = False
    checks: list[Any] = field(default_factory=list)


# Beside the tensors, not in them: they stay ordinary ones, for example for torch.save.
_origins: Any = WeakTensorKeyDictionary()


def remember_origin(state_dict: Mapping[str, Tensor], address: str, network: Network) -> None:
    """Note where tensors come from, for as long as they live.

    Args:
        state_dict: a segmentor's weights.
        address: how messages name the checkpoint.
        network: what it holds.
    """
    origin = Origin(address, network, set(state_dict))
    for tensor in state_dict.values():
        _origins[tensor] = origin


def take_tensorflow_weights(module: Any, tf_weights: Backbone | Head) -> None:
    """Let a module check and take weights that come from a TensorFlow checkpoint.

    Args:
        module: one of our backbones or heads, an ``nn.Module``.
        tf_weights: what it is in TensorFlow's terms; it is set as an attribute.
    """
    module.tf_weights = tf_weights
    module._register_load_state_dict_pre_hook(_before_loading, with_module=True)


def _before_loading(module: Any, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
    """Run before ``module`` takes what is below ``prefix`` in ``state_dict``; it may change that.

    Raises:
        CheckpointMismatchError: the tensors come from a TensorFlow checkpoint and don't fit.
    """
    origin = _origin_of(state_dict, prefix)
    if origin is None:
        return
    if prefix and origin.network.head is None:
        raise CheckpointMismatchError(
            f"{origin.address} holds {origin.network}, not a whole segmentor. Load it into the "
            f"backbone: model.backbone.init_cfg=dict(type='Pretrained', "
            f"checkpoint='{origin.address}')"
        )
    part = module.tf_weights
    _drop_part_names(state_dict, prefix, part.prefix)
    found = {name[len(prefix) :]: tuple(value.shape) for name, value in state_dict.items()}
    problems = _differences(found, _wanted(module, origin))
    if problems:
        other_kind = _config_of_other_kind(part, origin) is not None
        problems = [] if other_kind else problems  # else hundreds of names, which help nobody
        origin.problems.append("\n".join([*_explain(part, origin), *problems]))
    origin.taken = True
    origin.left -= {part.prefix + name for name in found}
    if prefix and any(name.startswith(_other(part.prefix)) for name in origin.left):
        # The other part comes next, and what does not fit there is told in the same message. If
        # its module is not ours, nothing comes, which shows when this one runs.
        _check_when_first_run(module, origin)
        return
    if origin.problems:
        raise CheckpointMismatchError("\n".join(origin.problems))
    for check in origin.checks:
        check.remove()


def _origin_of(state_dict: Mapping[str, Any], prefix: str) -> Origin | None:
    """The checkpoint that a part of a model is being loaded from, if it is TensorFlow's.

    Raises:
        CheckpointMismatchError: nothing of it is under the names that the model has.
    """
    for value in state_dict.values():
        if isinstance(value, Tensor):
            return _origins.get(value)
    untouched = {origin for origin in _origins.values() if not origin.taken}
    if prefix and untouched:
        (address, *_) = sorted(origin.address for origin in untouched)
        raise CheckpointMismatchError(
            f"{address}: none of its names fits {prefix.rstrip('.')}. A whole segmentor takes it "
            "without `prefix` in init_cfg; a backbone or head takes it in its own init_cfg"
        )
    return None


def _other(part: str) -> str:
    return Head.prefix if part == Backbone.prefix else Backbone.prefix


def _check_when_first_run(module: Any, origin: Origin) -> None:
    def check(*_: Any) -> None:
        if origin.left or origin.problems:
            parts = sorted({name.partition(".")[0] for name in origin.left})
            left = [
                f"{len(origin.left)} weights of {origin.address} were taken by nothing: the "
                f"config's model.{', model.'.join(parts)} is none of this package's. To load the "
                f"other part alone, name the checkpoint in that part's init_cfg"
            ]
            raise CheckpointMismatchError("\n".join(origin.problems + left * bool(parts)))

    # On the children too: EncoderDecoder runs a head by its method `forward`, past all hooks.
    for runs in (module, *module.children()):
        origin.checks.append(runs.register_forward_pre_hook(check))


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


def _wanted(module: Any, origin: Origin) -> dict[str, tuple[int, ...]]:
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


def _explain(ours: Backbone | Head, origin: Origin) -> list[str]:
    """One sentence on the two networks, then the config keys to change."""
    key = ours.prefix.rstrip(".")
    here = ours if isinstance(ours, Backbone) else f"a head for {ours.num_classes} classes ({ours})"
    lines = [f"{origin.address} holds {origin.network}; the config's model.{key} is {here}."]
    theirs = origin.network.backbone if isinstance(ours, Backbone) else origin.network.head
    if theirs is None:
        return lines
    other = _config_of_other_kind(ours, origin)
    changes = _changes(ours, theirs, origin.network.configs()[key])
    if other is not None:
        arguments = ", ".join(f"{name}={value!r}" for name, value in other.items())
        lines.append(
            f"To load it, replace the whole part: {key}=dict(_delete_=True, {arguments}); or let "
            f"`python {tool_path('model_converters/tf2mmseg.py')} CHECKPOINT OUT.pth --config-out "
            "OUT.py` write a config that fits."
        )
    elif changes:
        lines.append(f"To load it, change in model.{key}: {'; '.join(changes)}.")
    else:
        lines.append(
            f"The networks are the same, the names are not: in model.{key}.init_cfg, `prefix` must "
            f"be '{ours.prefix}' or left out."
        )
    if isinstance(ours, Head) and isinstance(theirs, Head):
        lines += ade20k_advice(theirs.num_classes, ours.num_classes)
        if theirs.num_classes not in (None, ours.num_classes):
            lines.append(
                "To train another number of classes instead, leave the last layer out: "
                f"{origin.address}?drop_logits=true"
            )
    return lines


def _config_of_other_kind(ours: Backbone | Head, origin: Origin) -> dict[str, Any] | None:
    """The backbone's config for the file's network, if that takes a class with other keys."""
    wanted = origin.network.configs()["backbone"]
    other = isinstance(ours, Backbone) and not ours.config().keys() <= wanted.keys()
    return wanted if other else None


_NOT_COMPARED = ("c1_in_index", "dilations")  # no weight decides their values


def _changes(ours: Backbone | Head, theirs: Backbone | Head, wanted: dict[str, Any]) -> list[str]:
    """What to change in a config so that it builds their part instead of ours."""
    present = ours.config()
    changes = [
        f"{key}={value!r} (now {present[key]!r})" if key in present else f"{key}={value!r}"
        for key, value in wanted.items()
        if key not in _NOT_COMPARED and (key not in present or present[key] != value)
        if (key, value) != ("num_classes", None)  # without a last layer it fits any number
    ]
    changes += [f"remove {key}" for key in present if key not in wanted]
    if isinstance(ours, Head) and isinstance(theirs, Head):
        if theirs.c1_in_channels != ours.c1_in_channels and "c1_in_index" in wanted:
            changes.append(f"c1_in_index={wanted['c1_in_index']!r}")
        if theirs.num_rates != ours.num_rates:
            changes.append(
                f"dilations with {theirs.num_rates} rates after the 1 (now {ours.num_rates}), at "
                f"output stride 16 {theirs.dilations()}"
            )
    return changes
