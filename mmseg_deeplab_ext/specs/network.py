"""A whole network: a backbone and a head, found in a file or in a built model."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from mmseg_deeplab_ext.errors import (
    CheckpointError,
    CheckpointMismatchError,
    CheckpointUnsupportedError,
)
from mmseg_deeplab_ext.specs import BACKBONES
from mmseg_deeplab_ext.specs.backbone import SCOPE, BackboneSpec, Shapes
from mmseg_deeplab_ext.specs.deeplab_head import HeadSpec
from mmseg_deeplab_ext.specs.nearest import (
    HOW_TO_MAP,
    nearest_backbones,
    nearest_head,
    scope_advice,
)
from mmseg_deeplab_ext.specs.rule import Rule
from mmseg_deeplab_ext.specs.variables import AVERAGE, weight_names
from mmseg_deeplab_ext.wording import listed

_NOT_BUILT = {
    r"xception_\d+": "an Xception of another depth",
    "MobilenetV1": "a MobileNetV1",
    "pnasnet": "a PNASNet",
    "hnasnet": "an HNASNet",
    r"resnet_v2_\d+": "a ResNet v2",
    r"resnet_v1_\d+": "a ResNet v1 of another depth",
    r"vgg_\w+": "a VGG",
    r"Inception\w+": "an Inception network",
    "_CHECKPOINTABLE_OBJECT_GRAPH": "a TensorFlow 2 model (object-based)",
}
"""Scopes of networks that this version does not build."""


@dataclass(frozen=True)
class NetworkSpec:
    """A backbone, with a head where there is one.

    Attributes:
        backbone: the backbone.
        head: the segmentation head; None for an ImageNet classifier or a bare backbone.
        imagenet_classes: classes of the ImageNet classifier, where there is one.
        head_fault: why a head that the file has is left out.
    """

    backbone: BackboneSpec
    head: HeadSpec | None = None
    imagenet_classes: int | None = None
    head_fault: str = ""

    def __str__(self) -> str:
        if self.head_fault:
            return f"{self.backbone}, with a head that can't be loaded ({self.head_fault})"
        if self.head is None:
            classifier = f"an ImageNet classifier ({self.imagenet_classes} classes) on "
            return f"{classifier * bool(self.imagenet_classes)}{self.backbone}"
        classes = f"{self.head.num_classes} classes" if self.head.num_classes else "no logits"
        return f"{self.head.title} on {self.backbone}, {classes} ({self.head})"

    @property
    def parts(self) -> dict[str, BackboneSpec | HeadSpec]:
        """The specs by their keys in a model's config."""
        head = {} if self.head is None else {self.head.key: self.head}
        return {self.backbone.key: self.backbone, **head}

    def without_logits(self) -> NetworkSpec:
        """The network without its last layer, to train another number of classes."""
        return replace(self, head=self.head and replace(self.head, logits=None))

    def configs(self) -> dict[str, dict[str, Any]]:
        """Configs of ``backbone`` and ``decode_head``: what their weights decide."""
        configs = {self.backbone.key: self.backbone.config()}
        if self.head is not None:
            configs[self.head.key] = self.head.config(self.backbone)
        return configs

    def rules(self) -> list[Rule]:
        """The rules of everything that a segmentor takes."""
        return [rule for part in self.parts.values() for rule in part.rules()]


def detect_network(shapes: Shapes, *, head_fault: str = "") -> NetworkSpec:
    """Say which network the variables of a checkpoint, slots and averages included, are.

    Args:
        shapes: name and shape of all variables.
        head_fault: why to look at the backbone alone; empty for the whole network.

    Raises:
        CheckpointUnsupportedError: a network that this version does not build.
        CheckpointMismatchError: no network of TensorFlow's DeepLab, several, a part of one, or one
            with a kernel of no values (as for zero classes). The nearest one is named.
    """
    weights = trained_shapes(shapes)
    empty = [
        f"{name} {list(shape)}"
        for name, shape in weights.items()
        if name.endswith("weights") and 0 in shape
    ]
    if empty:
        raise CheckpointMismatchError(f"the file holds kernels without values: {listed(empty)}")
    _refuse_folded(weights)
    backbone = _backbone(weights)
    if head_fault:
        return NetworkSpec(backbone, head_fault=head_fault)
    biases = [
        shape
        for name, shape in weights.items()
        if backbone.is_classifier(name) and name.endswith("/biases")
    ]
    return NetworkSpec(
        backbone,
        _head(weights, backbone),
        imagenet_classes=biases[0][0] if biases and biases[0] else None,
    )


def trained_shapes(shapes: Shapes) -> dict[str, tuple[int, ...]]:
    """Name and shape of the weights among the variables, by the raw weights' names."""
    return {n: shapes[n if n in shapes else f"{n}/{AVERAGE}"] for n in weight_names(shapes)}


def _head(weights: Shapes, backbone: BackboneSpec) -> HeadSpec | None:
    try:
        return HeadSpec.found_in(weights)
    except CheckpointMismatchError as error:
        near = nearest_head(weights, backbone)
        nearest = f". Nearest is {near.part.title} with {near}" if near else ""
        raise CheckpointMismatchError(f"{error}{nearest}") from None


def _backbone(weights: Shapes) -> BackboneSpec:
    scopes = sorted({_scope(name) for name in weights})
    found: dict[str, BackboneSpec] = {}
    for scope in scopes:
        inside = {name: shape for name, shape in weights.items() if _scope(name) == scope}
        specs = (family.found_in(inside) for family in BACKBONES)
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is not None:
            found[scope] = spec
    _refuse_several(found)
    if found:
        return next(iter(found.values()))
    raise _unknown(weights, scopes)


def _unknown(weights: Shapes, scopes: list[str]) -> CheckpointError:
    """What to say of a file without a backbone: which other network it is, or the nearest."""
    known = dict.fromkeys(spec.scope for family in BACKBONES for spec in family.published())
    scopes_known = f"known are {', '.join(known)}"
    for pattern, title in _NOT_BUILT.items():
        for scope in scopes:
            if scope not in known and re.fullmatch(pattern, scope):
                return CheckpointUnsupportedError(
                    f"the file holds {title} ({scope}), which this version can't build; "
                    f"{scopes_known}"
                )
    near = nearest_backbones(weights)
    nearest = f". Nearest is {', and '.join(map(str, near))}{scope_advice(near)}" if near else ""
    return CheckpointMismatchError(
        "the file holds no network of TensorFlow's DeepLab: its variables are in the scopes "
        f"{', '.join(scopes[:12]) or '(none)'}; {scopes_known}{nearest}"
    )


def _refuse_several(found: dict[str, BackboneSpec]) -> None:
    if len(found) > 1:
        networks = " and ".join(f"{spec} ({scope})" for scope, spec in found.items())
        other = list(found)[-1]
        raise CheckpointMismatchError(
            f"the file holds {len(found)} networks: {networks}. Leave out all but one: "
            f"{HOW_TO_MAP.format(f'--ignore {other}/', f'ignore={other}/')}"
        )


def _refuse_folded(weights: Shapes) -> None:
    """Demand a batch norm beside the kernels; graphs made for inference may have none.

    Raises:
        CheckpointUnsupportedError: there is none.
    """
    scopes = {spec.scope for family in BACKBONES for spec in family.published()}
    kernels = [n for n, shape in weights.items() if len(shape) == 4 and _scope(n) in scopes]
    if kernels and not any(name.endswith("/moving_variance") for name in weights):
        # As TensorFlow's tools name the biases (optimize_for_inference, fold_batch_norms).
        biases = sorted(name for name in weights if name.endswith("_bn_offset"))
        raise CheckpointUnsupportedError(
            f"the file holds {_scope(kernels[0])} without batch norms: they were folded into the "
            f"{len(kernels)} kernels{' and ' * bool(biases)}{listed(biases, most=1)}, which can't "
            "be undone. Take the checkpoint that the graph was frozen from, or freeze it unfolded"
        )


def _scope(name: str) -> str:
    """The first part of a variable's name."""
    return name.partition("/")[0]


def network_of_model(model: Any) -> NetworkSpec:
    """Describe a built segmentor (``backbone``, ``decode_head``), or a backbone.

    Raises:
        CheckpointMismatchError: if its backbone or its head is not of this package.
    """
    backbone = getattr(model, "backbone", model)
    head = getattr(model, "decode_head", None)
    for key, module, kind in (
        (BackboneSpec.key, backbone, BackboneSpec),
        (HeadSpec.key, head, HeadSpec),
    ):
        if module is not None and not isinstance(getattr(module, "spec", None), kind):
            ours = [HeadSpec] if kind is HeadSpec else BACKBONES
            raise CheckpointMismatchError(
                f"model.{key} is a {type(module).__name__}, which has no counterpart in "
                "TensorFlow's DeepLab. Those of this package have: "
                f"{', '.join(each.module for each in ours)} (with '{SCOPE}.' in front)"
            )
    return NetworkSpec(backbone.spec, None if head is None else head.spec)


def rules_of_model(model: Any) -> list[Rule]:
    """Rules of a built segmentor; those of a backbone alone start with ``backbone.`` too."""
    return network_of_model(model).rules()
