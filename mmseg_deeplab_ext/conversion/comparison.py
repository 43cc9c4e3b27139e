"""The one comparison of a state dict with the model that it is for: names and shapes."""

from __future__ import annotations

from typing import Mapping

from torch import Tensor

from mmseg_deeplab_ext.wording import listed

Shapes = Mapping[str, "tuple[int, ...]"]

_COUNTER = "num_batches_tracked"
"""How many batches a batch norm has seen changes no prediction; TensorFlow does not count."""


def weight_shapes(state_dict: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Name and shape of what a network computes with: everything but batch norm's counters."""
    return {n: tuple(v.shape) for n, v in state_dict.items() if not n.endswith(_COUNTER)}


def differences(found: Shapes, wanted: Shapes) -> dict[str, list[str]]:
    """Compare the weights of a file with those of a model.

    Args:
        found: the file's.
        wanted: the model's.

    Returns:
        Kind of difference -> names, for :func:`problem_lines`.
    """
    return {
        "of another shape": [
            f"{name} {list(found[name])} in the file, {list(wanted[name])} in the model"
            for name in wanted
            if name in found and found[name] != wanted[name]
        ],
        "missing in the file": [name for name in wanted if name not in found],
        "left over in the file": [name for name in found if name not in wanted],
    }


def problem_lines(problems: Mapping[str, list[str]]) -> list[str]:
    """A line for every kind of problem that there is: how many, what, and the names."""
    return [f"  {len(names)} {what}: {listed(names)}" for what, names in problems.items() if names]
