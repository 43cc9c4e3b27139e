"""Channels of the MobileNets: rounding, and the multiplier behind the widths of a file."""

from __future__ import annotations

import math
from typing import Callable, Iterable

from mmseg_deeplab_ext.specs.backbone import Shapes
from mmseg_deeplab_ext.specs.rule import Rule


def make_divisible(value: float, divisor: int) -> int:
    """Round to a multiple of ``divisor`` that is at least ``divisor`` and 90 % of the value."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


def multiplier_of(
    shapes: Shapes,
    rules: Callable[[float], Iterable[Rule]],
    *,
    last_width: int,
    nominal: int,
    divisor: int,
) -> float:
    """The roundest multiplier that gives the widths of a file: one of 0.05, 0.10, ... if there is.

    Widths are rounded, so their ratio to those of multiplier 1 is only near the multiplier. Where
    none fits, it is the one with the fewest differences, which are then told.

    Args:
        shapes: of the file's variables.
        rules: the network's rules for a multiplier.
        last_width: channels of the network's last convolution in the file.
        nominal: those at multiplier 1.
        divisor: what the width was rounded to.
    """
    low, high = ((last_width + off * divisor) / nominal for off in (-1, 1))
    candidates = [
        number / one
        for one in (20, 100, 1000, 10000)
        for number in range(max(1, math.ceil(low * one)), math.ceil(high * one))
    ]
    candidates += [number / 20 for number in range(1, 41)]  # where the last width is what is odd
    found: dict[float, int] = {}
    for candidate in candidates:
        found[candidate] = differences(shapes, rules(candidate))
        if not found[candidate]:
            return candidate
    return min(candidates, key=found.__getitem__)


def differences(shapes: Shapes, rules: Iterable[Rule]) -> int:
    """How many of a file's variables have another shape than the rules say."""
    return sum(shapes.get(rule.tf_name, rule.shape) != rule.shape for rule in rules)
