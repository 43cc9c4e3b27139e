"""No network computes anything with a weight that is NaN or infinite."""

from __future__ import annotations

from typing import Mapping

import torch
from torch import Tensor

from mmseg_deeplab_ext.errors import CheckpointFormatError
from mmseg_deeplab_ext.wording import listed

_TRAINED = (".weight", ".bias", ".running_mean", ".running_var")
"""How the names of what training changes end; a buffer, such as a mask, may well hold -inf."""


def demand_finite(weights: Mapping[str, Tensor], *, source: str) -> None:
    """Demand that all weights are finite numbers; ``source`` names where they are from.

    Masks are none: -inf is refused only where training may have put it.
    """
    infinite = [n for n, v in weights.items() if v.is_floating_point() and _broken(n, v)]
    if infinite:
        raise CheckpointFormatError(
            f"{source} holds numbers that are not finite (NaN or infinite) in {len(infinite)} "
            f"weights: {listed(infinite)}. Its training has diverged; take an earlier checkpoint."
        )


def _broken(name: str, value: Tensor) -> bool:
    bad = ~value.isfinite()
    if not name.endswith(_TRAINED):
        bad &= ~torch.isneginf(value)
    return bool(bad.any())
