"""Batch-norm constants of the official code in PyTorch's terms, and fixed moving statistics."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmseg_deeplab_ext.specs.backbone import BatchNorm

_BATCH_NORM_TYPES = ("BN", "BN2d", "SyncBN", "MMSyncBN")


def tf_norm_cfg(norm_cfg: dict | None, batch_norm: BatchNorm) -> dict:
    """Fill in the official batch-norm constants where a config leaves them out.

    Args:
        norm_cfg: MMCV's norm config, or None for plain batch norm. What it states wins. Layers
            other than batch norm (GN, LN, ...) are returned unchanged.
        batch_norm: the constants; PyTorch's momentum is 1 - decay.

    Returns:
        A new norm config.
    """
    norm_cfg = dict(norm_cfg or {"type": "BN"})
    if norm_cfg.get("type") not in _BATCH_NORM_TYPES:
        return norm_cfg
    return {"momentum": round(1 - batch_norm.decay, 10), "eps": batch_norm.eps, **norm_cfg}


def keep_statistics(module: nn.Module) -> None:
    """Put all batch norms of a module into evaluation mode, whatever mode the module is in."""
    for each in module.modules():
        if isinstance(each, _BatchNorm):
            each.eval()
