"""Units that are recomputed in the backward pass."""

from __future__ import annotations

from functools import wraps
from typing import Any, Callable

import torch.utils.checkpoint as cp


def recomputed(forward: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Let a unit's ``forward`` keep no activations where the unit has ``with_cp``."""

    @wraps(forward)
    def wrapped(self: Any, x: Any) -> Any:
        if self.with_cp and x.requires_grad:
            return cp.checkpoint(forward, self, x, use_reentrant=False)
        return forward(self, x)

    return wrapped
