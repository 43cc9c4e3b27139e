"""Names of DeepLab's ``mobilenet_v2``."""

from __future__ import annotations

from typing import Iterator

from mmseg_deeplab_ext.arch import (
    MOBILENET_V2,
    MOBILENET_V2_STEM_WIDTH,
    mobilenet_v2_expanded_width,
    mobilenet_v2_width,
)
from mmseg_deeplab_ext.specs.rule import (
    Rule,
    conv_module_rules,
    depthwise_module_rules,
)

_SCOPE = "MobilenetV2"


def mobilenet_v2_rules(widen_factor: float, *, prefix: str) -> Iterator[Rule]:
    """Pair the variables of a MobileNetV2 with the state dict of ``MobileNetV2``.

    Args:
        widen_factor: the depth multiplier; the names are the same for every one.
        prefix: what stands before the backbone's names in the state dict.
    """
    channels = mobilenet_v2_width(MOBILENET_V2_STEM_WIDTH, widen_factor)
    yield from conv_module_rules(f"{_SCOPE}/Conv", f"{prefix}stem.0", shape=(3, 3, 3, channels))
    number = 0
    for b, block in enumerate(MOBILENET_V2, start=1):
        width = mobilenet_v2_width(block.width, widen_factor)
        for u in range(block.units):
            scope = f"{_SCOPE}/expanded_conv{f'_{number}' if number else ''}"
            unit = f"{prefix}layer{b}.{u}"
            expanded = mobilenet_v2_expanded_width(channels, block.expansion)
            if block.expansion > 1:
                yield from conv_module_rules(
                    f"{scope}/expand", f"{unit}.expand", shape=(1, 1, channels, expanded)
                )
            yield from depthwise_module_rules(
                f"{scope}/depthwise", f"{unit}.depthwise", channels=expanded
            )
            yield from conv_module_rules(
                f"{scope}/project", f"{unit}.project", shape=(1, 1, expanded, width)
            )
            channels = width
            number += 1
