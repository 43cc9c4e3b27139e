"""Which variables of a training checkpoint are weights, and what the others are."""

from __future__ import annotations

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
    "mean_rgb": "mean pixel of the preprocessing, which the config states",
}
"""Last part of the name of variables that stand alone -> what such a variable is. ``mean_rgb`` is
in slim's ImageNet files."""


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
        if suffix in ("", AVERAGE) and base.rpartition("/")[2] not in BOOKKEEPING:
            weights.add(base)
    return weights
