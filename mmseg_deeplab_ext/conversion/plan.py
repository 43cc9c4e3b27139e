"""Account for every variable of a checkpoint before a value is read: used, ignored, or an error."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Sequence

from mmseg_deeplab_ext.conversion.comparison import problem_lines
from mmseg_deeplab_ext.conversion.scopes import official_names
from mmseg_deeplab_ext.errors import CheckpointMismatchError
from mmseg_deeplab_ext.specs.backbone import Shapes
from mmseg_deeplab_ext.specs.nearest import nearer_lines
from mmseg_deeplab_ext.specs.network import NetworkSpec, detect_network, trained_shapes
from mmseg_deeplab_ext.specs.rule import Rule
from mmseg_deeplab_ext.specs.variables import AVERAGE, SUFFIXES, bookkeeping, owner

EMA_CHOICES = ("auto", "always", "never")
_ON_REQUEST = "left out on request"
_STATISTICS = ("/moving_mean", "/moving_variance")


@dataclass(frozen=True)
class Plan:
    """What is taken from a checkpoint, and why the rest is not.

    Attributes:
        network: what the checkpoint is; ``head.logits`` is None if they are dropped.
        sources: every rule with the variable that is read for it.
        ignored: every other variable -> the reason.
    """

    network: NetworkSpec
    sources: list[tuple[Rule, str]]
    ignored: dict[str, str]

    def report(self) -> str:
        """A few lines for the user: network, tensors used, tensors ignored by reason."""
        averaged = sum(name.endswith(f"/{AVERAGE}") for _, name in self.sources)
        used = f"{len(self.sources)} tensors used"
        lines = [str(self.network), used + f", {averaged} of them averages" * bool(averaged)]
        reasons = Counter(self.ignored.values())
        lines += [f"{count} ignored: {reason}" for reason, count in reasons.items()]
        assumption = self.network.head and self.network.head.context.assumption
        lines += [f"assumed: {assumption}"] if assumption else []
        return "\n".join([*lines, "0 missing"])


def make_plan(
    shapes: Shapes,
    *,
    ema: str = "auto",
    drop_logits: bool = False,
    ignore: Sequence[str] = (),
    scope: Sequence[str] = (),
    head_fault: str = "",
) -> Plan:
    """Find out what network the variables are, and pair each weight of it with a variable.

    Args:
        shapes: name and shape of all variables.
        ema: where there are moving averages of weights: ``auto`` takes the raw weights, unless
            only the averages are complete; ``always`` takes the averages (batch norm's own
            statistics may lack one); ``never`` takes the raw weights.
        drop_logits: leave out the last layer, to train another number of classes.
        ignore: names of further variables to leave out, exactly as in the file; with a slash at
            the end, all variables in that scope.
        scope: ``OLD=NEW`` for scopes that have other names in the file (:func:`official_names`).
        head_fault: why to leave out the head, whatever it is; empty to take it.

    Raises:
        CheckpointMismatchError: naming all variables that are missing, have another shape or
            belong to nothing, and all names in ``ignore`` that the file has not or that are needed.
        CheckpointUnsupportedError: the network is one that this version does not build.
    """
    if ema not in EMA_CHOICES:
        raise CheckpointMismatchError(f"ema={ema!r} must be one of {', '.join(EMA_CHOICES)}")
    scopes = tuple(name for name in ignore if name.endswith("/"))
    left_out = {name for name in shapes if name.startswith(scopes)}
    in_file = official_names(shapes.keys() - left_out, scope)
    official = {name: each for each, name in in_file.items()}
    inside = {each: shapes[name] for each, name in in_file.items()}
    network = detect_network(inside, head_fault=head_fault)
    if drop_logits:
        network = network.without_logits()
    # A scope that is here still has left out nothing.
    asked = {official.get(n, n) for n in ignore if not any(o.startswith(n) for o in left_out)}
    plan = _complete_plan(inside, network, ema=ema, ignore=asked)
    ignored = {in_file[name]: why for name, why in plan.ignored.items()}
    ignored.update(dict.fromkeys(sorted(left_out), _ON_REQUEST))
    return Plan(network, [(rule, in_file[name]) for rule, name in plan.sources], ignored)


def _complete_plan(shapes: Shapes, network: NetworkSpec, *, ema: str, ignore: set[str]) -> Plan:
    """A plan without problems, for variables under their official names."""
    rules = network.rules()
    averages = _take_averages(shapes, rules, ema)
    sources = [(rule, _source(shapes, rule.tf_name, averages=averages)) for rule in rules]
    expected = {rule.tf_name for rule in rules}
    unused = set(shapes) - {name for _, name in sources}
    reasons = {
        name: _ON_REQUEST if name in ignore else _reason(name, network, expected, averages=averages)
        for name in sorted(unused)
    }
    problems = {
        "missing in the file": [name for _, name in sources if name not in shapes],
        "of another shape": [
            f"{name} {list(shapes[name])} instead of {list(rule.shape)}"
            for rule, name in sources
            if name in shapes and tuple(shapes[name]) != rule.shape
        ],
        "in the file, but not part of this network": [n for n, why in reasons.items() if not why],
        "to be ignored, but not in the file": sorted(ignore - set(shapes)),
        "to be ignored, but needed": sorted(ignore & set(shapes) - unused),
    }
    lines = problem_lines(problems)
    if lines:
        lines += nearer_lines(trained_shapes(shapes), network.backbone, network.head)
        raise CheckpointMismatchError(
            "\n".join([f"the file looks like {network}, but not completely:", *lines])
        )
    return Plan(network, sources, reasons)


def _take_averages(shapes: Shapes, rules: list[Rule], ema: str) -> bool:
    if ema != "auto":
        return ema == "always"
    weights = [rule.tf_name for rule in rules]
    return not all(name in shapes for name in weights) and all(
        _source(shapes, name, averages=True) in shapes for name in weights
    )


def _source(shapes: Shapes, name: str, *, averages: bool) -> str:
    """The variable to read for a weight; it may be absent."""
    average = f"{name}/{AVERAGE}"
    if not averages or (average not in shapes and name.endswith(_STATISTICS)):
        return name
    return average


def _reason(name: str, network: NetworkSpec, expected: set[str], *, averages: bool) -> str:
    """Why a variable that is not used may be left out; empty if nothing explains it."""
    base, suffix = owner(name)
    if bookkeeping(base):
        return bookkeeping(base)
    if network.backbone.is_classifier(base):
        return "ImageNet classifier, which segmentation does not have"
    if network.head_fault and not base.startswith(f"{network.backbone.scope}/"):
        return "of a head that can't be loaded"
    if network.head and network.head.logits is None and network.head.owns_last_layer(base):
        return "logits, dropped on request"
    if base not in expected:
        return ""
    if not suffix:
        return "raw weight, whose moving average is used"
    return f"{SUFFIXES[suffix]}" + ", the raw weight is used" * (suffix == AVERAGE and not averages)
