"""Demand that weights from a TensorFlow checkpoint fit the modules they are loaded into.

MMEngine's non-strict loading passes over wrong names and shapes with a log line. But it, and
PyTorch, hand every module its entry of the state dict's ``_metadata``, the parent's before the
children's. Here that is an :class:`Origin`, which our networks call before they take anything.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import asdict
from typing import Any

from mmseg_deeplab_ext.conversion.ade20k import ade20k_advice
from mmseg_deeplab_ext.conversion.comparison import differences, problem_lines, weight_shapes
from mmseg_deeplab_ext.errors import CheckpointMismatchError
from mmseg_deeplab_ext.layers.specified_module import BEFORE_LOADING
from mmseg_deeplab_ext.specs.backbone import BackboneSpec
from mmseg_deeplab_ext.specs.deeplab_head import HeadSpec
from mmseg_deeplab_ext.specs.network import NetworkSpec
from mmseg_deeplab_ext.tool_paths import tool_path

_NOT_COMPARED = ("c1_in_index", "dilations")  # no weight decides their values


class Origin(OrderedDict):
    """``_metadata`` of a state dict that comes from a TensorFlow checkpoint.

    Args:
        address: how messages name the checkpoint.
        network: what it holds.
    """

    def __init__(self, address: str, network: NetworkSpec) -> None:
        super().__init__()
        self.address = address
        self.network = network
        self._problems: list[str] = []
        self._untaken: str | None = None

    def __reduce__(self) -> tuple:
        """A saved state dict is an ordinary one."""
        return OrderedDict, ()

    def get(self, path: str, default: Any = None) -> dict[str, Any]:
        """The entry of a module, by its name in the model that is loaded.

        Raises:
            CheckpointMismatchError: the module is inside one that the checkpoint has weights for,
                but which is none of ours.
        """
        if not path:  # the model itself: loading begins
            self._problems, self._untaken = [], None
        elif self._untaken and path.startswith(f"{self._untaken}."):
            raise CheckpointMismatchError(
                "\n".join(
                    [
                        *self._problems,
                        f"the weights of {self.address} for {self._untaken} would be taken by "
                        f"nothing: the config's model.{self._untaken} is none of this package's. "
                        "To load the other part alone, name the checkpoint in that part's init_cfg",
                    ]
                )
            )
        if path.rpartition(".")[2] in (BackboneSpec.key, HeadSpec.key):
            self._untaken = path
        return {BEFORE_LOADING: self._check}

    def _check(self, module: Any, state_dict: dict[str, Any], prefix: str) -> None:
        """Compare what is below ``prefix`` with one of our networks.

        Raises:
            CheckpointMismatchError: it does not fit. What does not fit a backbone is told together
                with what does not fit the head, which comes next.
        """
        self._untaken = None
        if self.network.head_fault and (prefix or module.spec.key == HeadSpec.key):
            raise CheckpointMismatchError(self.network.head_fault)
        if prefix and self.network.head is None:
            raise CheckpointMismatchError(
                f"{self.address} holds {self.network}, not a whole segmentor. Load it into the "
                f"backbone: model.backbone.init_cfg=dict(type='Pretrained', "
                f"checkpoint='{self.address}')"
            )
        found = {n[len(prefix) :]: v for n, v in weight_shapes(state_dict).items()}
        wanted = weight_shapes(module.state_dict())
        theirs = self.network.head
        if isinstance(module.spec, HeadSpec) and theirs is not None and theirs.logits is None:
            owned = module.spec.owns_last_layer
            wanted = {name: shape for name, shape in wanted.items() if not owned(name)}
        problems = problem_lines(differences(found, wanted))
        if problems:
            other_kind = _config_of_other_kind(module.spec, self.network) is not None
            problems = [] if other_kind else problems  # else hundreds of names, which help nobody
            self._problems += [*_explain(module.spec, self), *problems]
        head_follows = prefix and module.spec.key == BackboneSpec.key
        if self._problems and not head_follows:
            raise CheckpointMismatchError("\n".join(self._problems))


def _explain(ours: BackboneSpec | HeadSpec, origin: Origin) -> list[str]:
    """One sentence on the two networks, then the config keys to change."""
    here = str(ours)
    if isinstance(ours, HeadSpec):
        here = f"a head for {ours.num_classes} classes ({ours})"
    lines = [f"{origin.address} holds {origin.network}; the config's model.{ours.key} is {here}."]
    theirs = origin.network.parts.get(ours.key)
    if theirs is None:
        return lines
    other = _config_of_other_kind(ours, origin.network)
    changes = _changes(ours, theirs, origin.network.configs()[ours.key])
    if other is not None:
        arguments = ", ".join(f"{name}={value!r}" for name, value in other.items())
        lines.append(
            f"To load it, replace the whole part: {ours.key}=dict(_delete_=True, {arguments}); or "
            f"let `python {tool_path('model_converters/tf2mmseg.py')} CHECKPOINT OUT.pth "
            "--config-out OUT.py` write a config that fits."
        )
    elif changes:
        lines.append(f"To load it, change in model.{ours.key}: {'; '.join(changes)}.")
    else:
        lines.append(
            f"The networks are the same, the names are not: in model.{ours.key}.init_cfg, `prefix` "
            f"must be '{ours.prefix}' or left out."
        )
    if isinstance(ours, HeadSpec) and isinstance(theirs, HeadSpec):
        lines += ade20k_advice(theirs.num_classes, ours.num_classes)
        if theirs.num_classes not in (None, ours.num_classes):
            lines.append(
                "To train another number of classes instead, leave the last layer out: "
                f"{origin.address}?drop_logits=true"
            )
    return lines


def _config_of_other_kind(
    ours: BackboneSpec | HeadSpec, network: NetworkSpec
) -> dict[str, Any] | None:
    """The backbone's config for the file's network, if that takes a class with other keys."""
    wanted = network.backbone.config()
    taken = {*wanted, *asdict(network.backbone)}
    other = isinstance(ours, BackboneSpec) and not ours.config().keys() <= taken
    return wanted if other else None


def _changes(
    ours: BackboneSpec | HeadSpec, theirs: BackboneSpec | HeadSpec, wanted: dict[str, Any]
) -> list[str]:
    """What to change in a config so that it builds their part instead of ours."""
    present = ours.config()
    changes = [
        f"{key}={value!r} (now {present[key]!r})" if key in present else f"{key}={value!r}"
        for key, value in wanted.items()
        if key not in _NOT_COMPARED and (key not in present or present[key] != value)
        if value is not None  # without a last layer it fits any number of classes
    ]
    changes += [f"remove {key}" for key in present if key not in wanted]
    if isinstance(ours, HeadSpec) and isinstance(theirs, HeadSpec):
        if theirs.tap_channels != ours.tap_channels and "c1_in_index" in wanted:
            changes.append(f"c1_in_index={wanted['c1_in_index']!r}")
        wanted_rates, rates = theirs.dilations()[1:], ours.dilations()[1:]
        if len(wanted_rates) != len(rates) and theirs.dilations():
            changes.append(
                f"dilations with {len(wanted_rates)} rates after the 1 (now {len(rates)}), at "
                f"output stride 16 {theirs.dilations()}"
            )
    return changes
