"""The segmentor inside the wrappers that a Runner puts around it."""

from __future__ import annotations

from typing import Any


def segmentor_in(model: Any) -> Any:
    """Unwrap a model: distributed training and test-time augmentation keep it as ``module``."""
    while not hasattr(model, "decode_head") and hasattr(model, "module"):
        model = model.module
    return model
