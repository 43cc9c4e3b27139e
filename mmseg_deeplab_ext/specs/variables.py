"""Which variables of a training checkpoint are weights, and what the others are."""

from __future__ import annotations

import re
from typing import Iterable

AVERAGE = "ExponentialMovingAverage"
"""Suffix of a variable's moving average, made by ``tf.train.ExponentialMovingAverage``."""

SUFFIXES = {
    AVERAGE: "moving average of a weight",
    **dict.fromkeys(
        ("Momentum", "RMSProp", "RMSProp_1", "Adam", "Adam_1", "Adagrad", "Adadelta")
        + ("Adadelta_1", "Ftrl", "Ftrl_1"),
        "optimizer slot",
    ),
    # Made by zero_debias_moving_mean of tf_slim's batch_norm.
    **dict.fromkeys(("biased", "local_step"), "bookkeeping of a moving average"),
}
"""Last part of the names that training adds to a variable's -> what such a variable is."""

BOOKKEEPING = {
    "global_step": "training step",
    "beta1_power": "optimizer state",
    "beta2_power": "optimizer state",
    "fake_quantization_step": "training step at which the simulated 8-bit arithmetic starts",
    "mean_rgb": "mean pixel of the preprocessing, which the config states",
}
"""Last part of the name of variables that stand alone -> what such a variable is. ``mean_rgb`` is
in slim's ImageNet files."""

_RANGE = re.compile(r"(^|/)[^/]*_quant(_\d+)?/(.*/)?(min|max)$")
"""Added by ``tf.contrib.quantize`` (quant_ops.py); the variables of the float network stay."""


def bookkeeping(name: str) -> str:
    """What a variable that stands for no weight is; empty for the others.

    Args:
        name: of a variable, without the suffix of a slot.
    """
    if _RANGE.search(name):
        return "range of 8-bit (quantisation-aware) training, which the float network does without"
    return BOOKKEEPING.get(name.rpartition("/")[2], "")


def owner(name: str) -> tuple[str, str]:
    """Split ``conv1/weights/Momentum`` into the owning variable and the suffix, if there is one."""
    base, _, last = name.rpartition("/")
    return (base, last) if base and last in SUFFIXES else (name, "")


def weight_names(names: Iterable[str]) -> set[str]:
    """Names of the variables that training updates, if only by their averages.

    Args:
        names: all names of a checkpoint.
    """
    weights = set()
    for name in names:
        base, suffix = owner(name)
        if suffix in ("", AVERAGE) and not bookkeeping(base):
            weights.add(base)
    return weights
