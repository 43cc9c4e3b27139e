"""What a file almost is: the official backbone or head that its variables differ least from."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Iterable, Iterator

from mmseg_deeplab_ext.specs import BACKBONES
from mmseg_deeplab_ext.specs.backbone import BackboneSpec, Shapes
from mmseg_deeplab_ext.specs.deeplab_head import HeadSpec
from mmseg_deeplab_ext.specs.dense_prediction_cell import PUBLISHED
from mmseg_deeplab_ext.wording import listed

HOW_TO_MAP = "tf2mmseg.py takes {0}, an address ?{1} at its end"
_MULTIPLIER = "widen_factor"
_HEADS: tuple[dict[str, Any], ...] = (
    {"num_rates": 0},
    {"num_rates": 0, "c1_channels": (48,)},
    {"num_rates": 3},
    {"num_rates": 3, "c1_channels": (48,)},
    *(
        {"num_rates": 0, "c1_channels": (48,), "dense_prediction_cell": cell}
        for cell in PUBLISHED.values()
    ),
    {
        "num_rates": 0,
        "c1_channels": (19,),
        "aspp_squeeze_excite": "qsigmoid",
        "aspp_projection": False,
        "decoder_sum_merge": True,
        "decoder_logits": True,
    },
)
"""Heads of the model zoo, as keys of ``HeadSpec.of``."""


@dataclass(frozen=True)
class Likeness:
    """How a file's variables differ from those of a part of a network.

    Attributes:
        part: the backbone or the head.
        scope: where the file has it, without a slash at the end; empty for a head.
        missing: names of the part that the file lacks.
        other_shapes: names with both shapes, in words.
        left_over: names in the file that the part does not have.
        total: how many variables the part has.
    """

    part: BackboneSpec | HeadSpec
    scope: str
    missing: tuple[str, ...]
    other_shapes: tuple[str, ...]
    left_over: tuple[str, ...]
    total: int

    @property
    def differing(self) -> int:
        """How many variables differ in any way."""
        return len(self.missing) + len(self.other_shapes) + len(self.left_over)

    @property
    def is_near(self) -> bool:
        """Whether the file has at least half of the part's variables."""
        return 2 * (len(self.missing) + len(self.other_shapes)) <= self.total

    def __str__(self) -> str:
        place = f" in {self.scope}" * bool(self.scope)
        kinds = {
            "missing": self.missing,
            "of another shape": self.other_shapes,
            "too many": self.left_over,
        }
        differences = "; ".join(
            f"{len(names)} {kind}: {listed(names, most=3)}"
            for kind, names in kinds.items()
            if names
        )
        return f"{self.part}{place} ({differences or f'all its {self.total} variables'})"


def likeness(part: BackboneSpec | HeadSpec, inside: Shapes, *, scope: str = "") -> Likeness:
    """Compare a part of a network with variables.

    Args:
        part: a backbone or a head.
        inside: the variables that should be its, by the names that it gives them.
        scope: where the file has a backbone.
    """
    rules = {rule.tf_name: rule.shape for rule in part.rules()}
    return Likeness(
        part,
        scope,
        missing=tuple(name for name in rules if name not in inside),
        other_shapes=tuple(
            f"{name} {list(inside[name])} instead of {list(shape)}"
            for name, shape in rules.items()
            if name in inside and tuple(inside[name]) != shape
        ),
        left_over=tuple(
            name
            for name in sorted(inside)
            if name not in rules
            and not (isinstance(part, BackboneSpec) and part.is_classifier(name))
        ),
        total=len(rules),
    )


def nearest_backbones(weights: Shapes) -> list[Likeness]:
    """The nearest official backbone in every scope that has at least half of its variables."""
    nearest: dict[str, Likeness] = {}
    for family in BACKBONES:
        for spec in family.published():
            for scope in _scopes_like(spec, weights):
                found = likeness(spec, _moved(weights, scope, spec.scope), scope=scope)
                if scope not in nearest or found.differing < nearest[scope].differing:
                    nearest[scope] = found
    return [nearest[scope] for scope in sorted(nearest)]


def _scopes_like(spec: BackboneSpec, weights: Shapes) -> list[str]:
    """The scopes with at least half of a backbone's variables."""
    start = len(spec.scope) + 1
    names = {rule.tf_name[start:] for rule in spec.rules()}
    votes: Counter[str] = Counter()
    for name in weights:
        at = name.find("/")
        while at >= 0:
            if name[at + 1 :] in names:
                votes[name[:at]] += 1
            at = name.find("/", at + 1)
    return [scope for scope, count in votes.items() if 2 * count >= len(names)]


def _moved(weights: Shapes, old: str, new: str) -> dict[str, tuple[int, ...]]:
    """The variables in a scope, in another one."""
    inside = f"{old}/"
    return {new + n[len(old) :]: shape for n, shape in weights.items() if n.startswith(inside)}


def scope_advice(found: Iterable[Likeness]) -> str:
    """How to load one of the backbones if they are in scopes with other names; empty if not."""
    options = []
    for each in found:
        official = getattr(each.part, "scope", "")
        outer = each.scope[: -len(official)]
        if outer.endswith("/") and each.scope.endswith(official):
            options.append(outer[:-1] + "=")
        elif each.scope != official:
            options.append(f"{each.scope}={official}")
    if not options:
        return ""
    flags = " or ".join(f"--scope {option}" for option in options)
    others = " (and --ignore SCOPE/ for the others)" * (len(options) > 1)
    return f". {HOW_TO_MAP.format(flags + others, f'scope={options[0]}')}"


def nearest_head(weights: Shapes, backbone: BackboneSpec) -> Likeness | None:
    """The nearest head of the model zoo on a backbone; None where none is near."""
    own = f"{backbone.scope}/"
    inside = {n: shape for n, shape in weights.items() if not n.startswith(own)}
    candidates = [likeness(head, inside) for head in _official_heads(inside, backbone)]
    best = min(candidates, key=lambda each: each.differing, default=None)
    return best if best is not None and best.is_near else None


def nearer_lines(weights: Shapes, backbone: BackboneSpec, head: HeadSpec | None) -> Iterator[str]:
    """Name what is nearer to a file than the parts that were found by their names, and odd widths.

    Args:
        weights: name and shape of the weights.
        backbone: the one that was found.
        head: likewise.
    """
    inside = _moved(weights, backbone.scope, backbone.scope)
    ours = likeness(backbone, inside)
    all_near = nearest_backbones(weights)
    near = [each for each in all_near if each.differing < ours.differing]
    if near:
        yield f"  nearer is {', and '.join(map(str, near))}{scope_advice(near)}"
    for other in all_near:
        if other not in near and other.scope != backbone.scope:
            option = HOW_TO_MAP.format(f"--ignore {other.scope}/", f"ignore={other.scope}/")
            yield f"  the file holds another network, {other}; to leave it out, {option}"
    if not near and ours.other_shapes and _MULTIPLIER in backbone.options():
        published = sorted({each.options()[_MULTIPLIER] for each in backbone.published()})
        yield (
            f"  no depth multiplier ({_MULTIPLIER}) gives these widths: all layers should have "
            f"those of one; published are {', '.join(f'{each:g}' for each in published)}"
        )
    if head is not None:
        others = {n: shape for n, shape in weights.items() if n not in inside}
        better = nearest_head(weights, backbone)
        if better is not None and better.differing < likeness(head, others).differing:
            yield f"  nearer is the head {better}"


def _official_heads(inside: Shapes, backbone: BackboneSpec) -> Iterator[HeadSpec]:
    """Those of the zoo, for as many classes and as wide as the variables say."""
    width = _last(inside, "aspp0/weights", 256)
    for keys in _HEADS:
        decoder, is_logits = "c1_channels" in keys, "decoder_logits" in keys
        if decoder and not backbone.taps:
            continue
        classes = _last(inside, "decoder/feature_projection0/weights", 19)
        if not is_logits:
            classes = _last(inside, "logits/semantic/biases", 21)
        channels = classes if is_logits else 256 if decoder else width
        yield HeadSpec.of(
            in_channels=backbone.channels,
            channels=channels,
            aspp_channels=width,
            num_classes=classes,
            c1_in_channels=(backbone.taps[int(is_logits)].channels,) if decoder else (),
            **{**keys, **({"c1_channels": (classes,)} if is_logits else {})},
        )


def _last(shapes: Shapes, name: str, default: int) -> int:
    shape = shapes.get(name)
    return shape[-1] if shape and shape[-1] else default
