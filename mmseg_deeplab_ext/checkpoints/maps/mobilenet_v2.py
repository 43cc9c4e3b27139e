"""Names of DeepLab's ``mobilenet_v2``."""

from __future__ import annotations

from typing import Iterator

from mmseg_deeplab_ext.arch import MOBILENET_V2
from mmseg_deeplab_ext.checkpoints.name_map import Rule, conv_module_rules

_SCOPE = "MobilenetV2"


def mobilenet_v2_rules(*, prefix: str = "backbone.") -> Iterator[Rule]:
    """Pair the variables of a MobileNetV2 with the state dict of ``MobileNetV2``.

    The names are the same for every depth multiplier.

    Args:
        prefix: what stands before the backbone's names in the state dict.
    """
    yield from conv_module_rules(f"{_SCOPE}/Conv", f"{prefix}stem.0")
    number = 0
    for b, block in enumerate(MOBILENET_V2, start=1):
        for u in range(block.units):
            scope = f"{_SCOPE}/expanded_conv{f'_{number}' if number else ''}"
            unit = f"{prefix}layer{b}.{u}"
            if block.expansion > 1:
                yield from conv_module_rules(f"{scope}/expand", f"{unit}.expand")
            yield from conv_module_rules(f"{scope}/depthwise", f"{unit}.depthwise", depthwise=True)
            yield from conv_module_rules(f"{scope}/project", f"{unit}.project")
            number += 1
