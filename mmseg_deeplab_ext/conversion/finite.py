"""No network computes anything with a weight that is NaN or infinite."""

from __future__ import annotations

from typing import Mapping

from torch import Tensor

from mmseg_deeplab_ext.errors import CheckpointFormatError
from mmseg_deeplab_ext.wording import listed


def demand_finite(weights: Mapping[str, Tensor], *, source: str) -> None:
    """Demand that all weights are finite numbers; ``source`` names where they are from."""
    infinite = [n for n, v in weights.items() if v.is_floating_point() and not v.isfinite().all()]
    if infinite:
        raise CheckpointFormatError(
            f"{source} holds numbers that are not finite (NaN or infinite) in {len(infinite)} "
            f"weights: {listed(infinite)}. Its training has diverged; take an earlier checkpoint."
        )
