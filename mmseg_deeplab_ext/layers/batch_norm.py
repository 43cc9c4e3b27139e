"""Batch-norm constants of the official code, converted once to PyTorch's terms."""

from __future__ import annotations

FUSED_BATCH_NORM_EPS = 1.001e-5
"""TensorFlow 1's fused batch norm clamps epsilon to at least this value: every "1e-5" of the
official code is 1.001e-5 in the exported graphs, and it is what the weights were trained with."""

_BATCH_NORM_TYPES = ("BN", "BN2d", "SyncBN", "MMSyncBN")


def tf_norm_cfg(norm_cfg: dict | None, *, decay: float, eps: float) -> dict:
    """Fill in the official batch-norm constants where a config leaves them out.

    Args:
        norm_cfg: MMCV's norm config, or None for plain batch norm. What it states wins. Layers
            other than batch norm (GN, LN, ...) are returned unchanged.
        decay: TensorFlow's ``decay`` of the moving statistics; PyTorch's momentum is 1 - decay.
        eps: epsilon.

    Returns:
        A new norm config.
    """
    norm_cfg = dict(norm_cfg or {"type": "BN"})
    if norm_cfg.get("type") not in _BATCH_NORM_TYPES:
        return norm_cfg
    return {"momentum": round(1 - decay, 10), "eps": eps, **norm_cfg}
