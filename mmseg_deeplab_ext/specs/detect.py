"""Find out from the variables of a checkpoint, names and shapes alone, which network they are."""

from __future__ import annotations

import math
import re
from typing import Mapping

from mmseg_deeplab_ext.arch import MOBILENET_V2_LAST_WIDTH, RESNET_V1
from mmseg_deeplab_ext.errors import (
    CheckpointMismatchError,
    CheckpointUnsupportedError,
)
from mmseg_deeplab_ext.specs.deeplab_head_map import LOGITS_SCOPE
from mmseg_deeplab_ext.specs.mobilenet_v2_map import mobilenet_v2_rules
from mmseg_deeplab_ext.specs.networks import Backbone, Head, Network
from mmseg_deeplab_ext.specs.variables import AVERAGE, weight_names
from mmseg_deeplab_ext.wording import listed

Shapes = Mapping[str, "tuple[int, ...]"]

_NOT_YET = {
    r"xception_\d+": "an Xception",
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


def detect_network(shapes: Shapes) -> Network:
    """Say which network the variables are.

    Args:
        shapes: name and shape of all variables of a checkpoint; slots and averages may be among
            them.

    Raises:
        CheckpointUnsupportedError: a network that this version does not build.
        CheckpointMismatchError: no network of TensorFlow's DeepLab, a part of one, or one with a
            kernel of no values (as for zero classes).
    """
    weights = {name: _shape(shapes, name) for name in weight_names(shapes)}
    empty = [
        f"{name} {list(shape)}"
        for name, shape in weights.items()
        if name.endswith("weights") and 0 in shape
    ]
    if empty:
        raise CheckpointMismatchError(f"the file holds kernels without values: {listed(empty)}")
    backbone = _backbone(weights)
    if "meta_architecture" in {name.partition("/")[0] for name in weights}:
        raise CheckpointUnsupportedError(
            f"the file holds {backbone} with a dense prediction cell (meta_architecture), which "
            "this version can't build"
        )
    classifier = [name for name in weights if backbone.classifier_of(name)]
    biases = [weights[name] for name in classifier if name.endswith("/biases")]
    return Network(
        backbone,
        _head(weights),
        imagenet_classes=biases[0][0] if biases and biases[0] else None,
    )


def _shape(shapes: Shapes, name: str) -> tuple[int, ...]:
    return shapes[name] if name in shapes else shapes[f"{name}/{AVERAGE}"]


def _backbone(weights: Shapes) -> Backbone:
    for depth in RESNET_V1:
        scope = f"resnet_v1_{depth}"
        for family, stem in (("ResNetV1Beta", "conv1_1"), ("ResNetV1", "conv1")):
            if f"{scope}/{stem}/weights" in weights:
                return Backbone(family, depth)
    last = weights.get("MobilenetV2/expanded_conv_16/project/weights")
    if last is not None and len(last) == 4:
        return Backbone("MobileNetV2", _depth_multiplier(weights, last[-1]))
    scopes = sorted({name.partition("/")[0] for name in weights})
    for pattern, title in _NOT_YET.items():
        for scope in scopes:
            if re.fullmatch(pattern, scope):
                raise CheckpointUnsupportedError(
                    f"the file holds {title} ({scope}), which this version can't build"
                )
    raise CheckpointMismatchError(
        "the file holds no network of TensorFlow's DeepLab: its variables are in the scopes "
        f"{', '.join(scopes[:12]) or '(none)'}; known are resnet_v1_18, _50, _101 and MobilenetV2"
    )


def _depth_multiplier(weights: Shapes, last_width: int) -> float:
    """The multiplier with the fewest decimals that gives the widths of the file.

    Widths are rounded, so their ratio to those of multiplier 1 is only near the multiplier. At
    most one of two decimals explains the last width (half a channel in 320).
    """
    low, high = ((last_width + half) / MOBILENET_V2_LAST_WIDTH for half in (-0.5, 0.5))
    candidates = [
        number / one
        for one in (100, 1000, 10000)
        for number in range(math.ceil(low * one), math.ceil(high * one))
    ]

    def differences(multiplier: float) -> int:
        rules = mobilenet_v2_rules(multiplier, prefix="")
        return sum(weights.get(rule.tf_name, rule.shape) != rule.shape for rule in rules)

    for multiplier in candidates:
        if not differences(multiplier):
            return multiplier
    return min(candidates, key=differences)  # what doesn't fit will be named


def _head(weights: Shapes) -> Head | None:
    if not any(name.startswith(("logits/", "aspp", "concat_projection/")) for name in weights):
        return None

    def shape(name: str) -> tuple[int, ...]:
        found = weights.get(name)
        if found is None or len(found) != 4:
            raise CheckpointMismatchError(
                f"the file holds a segmentation head without the kernel {name} [h, w, in, out] "
                f"(found: {found}); heads without ASPP and partial heads can't be read"
            )
        return found

    rates, aspp_separable = _count(weights, "aspp{}_depthwise/depthwise_weights", "aspp{}/weights")
    taps = _stages(weights)
    aspp0, projection = shape("aspp0/weights"), shape("concat_projection/weights")
    logits = shape(f"{LOGITS_SCOPE}weights")
    return Head(
        in_channels=aspp0[2],
        channels=logits[2],
        num_classes=logits[3],
        num_rates=rates,
        aspp_channels=projection[3],
        aspp_separable=aspp_separable,
        image_pooling="image_pooling/weights" in weights,
        c1_in_channels=tuple(shape(tap)[2] for tap in taps),
        c1_channels=tuple(shape(tap)[3] for tap in taps),
        decoder_separable=not taps
        or "decoder/decoder_conv0_depthwise/depthwise_weights" in weights,
    )


def _count(weights: Shapes, separable: str, dense: str) -> tuple[int, bool]:
    """How many of the atrous branches 1, 2, ... there are, and whether they are separable."""
    kind = separable if separable.format(1) in weights else dense
    count = 0
    while kind.format(count + 1) in weights:
        count += 1
    return count, kind is separable or not count


def _stages(weights: Shapes) -> list[str]:
    """Kernels that project the taps, one per decoder stage."""
    names: list[str] = []
    while (
        name := f"decoder/feature_projection0{f'_{len(names)}' if names else ''}/weights"
    ) in weights:
        names.append(name)
    return names
