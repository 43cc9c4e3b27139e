"""A whole network: a backbone and a head, found in a file or in a built model."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from mmseg_deeplab_ext.errors import CheckpointMismatchError, CheckpointUnsupportedError
from mmseg_deeplab_ext.specs import BACKBONES
from mmseg_deeplab_ext.specs.backbone import SCOPE, BackboneSpec, Shapes
from mmseg_deeplab_ext.specs.deeplab_head import HeadSpec
from mmseg_deeplab_ext.specs.rule import Rule
from mmseg_deeplab_ext.specs.variables import AVERAGE, weight_names
from mmseg_deeplab_ext.wording import listed

_NOT_BUILT = {
    r"xception_\d+": "an Xception of another depth than 41, 65 and 71",
    "MobilenetV1": "a MobileNetV1",
    "MobilenetV3": "a MobileNetV3",
    "MobilenetEdgeTPU": "a MobileNet for EdgeTPU",
    "pnasnet": "a PNASNet",
    "hnasnet": "an HNASNet",
    r"resnet_v2_\d+": "a ResNet v2",
    r"resnet_v1_\d+": "a ResNet v1 of another depth than 18, 50 and 101",
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
    """

    backbone: BackboneSpec
    head: HeadSpec | None = None
    imagenet_classes: int | None = None

    def __str__(self) -> str:
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


def detect_network(shapes: Shapes) -> NetworkSpec:
    """Say which network the variables of a checkpoint, slots and averages included, are.

    Raises:
        CheckpointUnsupportedError: a network that this version does not build.
        CheckpointMismatchError: no network of TensorFlow's DeepLab, a part of one, or one with a
            kernel of no values (as for zero classes).
    """
    weights = {n: shapes[n if n in shapes else f"{n}/{AVERAGE}"] for n in weight_names(shapes)}
    empty = [
        f"{name} {list(shape)}"
        for name, shape in weights.items()
        if name.endswith("weights") and 0 in shape
    ]
    if empty:
        raise CheckpointMismatchError(f"the file holds kernels without values: {listed(empty)}")
    backbone = _backbone(weights)
    biases = [
        shape
        for name, shape in weights.items()
        if backbone.is_classifier(name) and name.endswith("/biases")
    ]
    return NetworkSpec(
        backbone,
        HeadSpec.found_in(weights),
        imagenet_classes=biases[0][0] if biases and biases[0] else None,
    )


def _backbone(weights: Shapes) -> BackboneSpec:
    for family in BACKBONES:
        found = family.found_in(weights)
        if found is not None:
            return found
    scopes = sorted({name.partition("/")[0] for name in weights})
    for pattern, title in _NOT_BUILT.items():
        for scope in scopes:
            if re.fullmatch(pattern, scope):
                raise CheckpointUnsupportedError(
                    f"the file holds {title} ({scope}), which this version can't build"
                )
    known = dict.fromkeys(spec.scope for family in BACKBONES for spec in family.published())
    raise CheckpointMismatchError(
        "the file holds no network of TensorFlow's DeepLab: its variables are in the scopes "
        f"{', '.join(scopes[:12]) or '(none)'}; known are {', '.join(known)}"
    )


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
