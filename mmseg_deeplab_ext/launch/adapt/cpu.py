"""What a config asks of a GPU, replaced where there is none."""

from __future__ import annotations

from typing import Any

from mmengine.config import Config
from mmengine.device import get_device
from torch.nn import SyncBatchNorm

from mmseg_deeplab_ext.launch.adapt.amp import use_cpu_amp

_SYNC_BN_TYPES = ("SyncBN", "MMSyncBN")


def adapt_to_cpu(cfg: Config) -> list[str]:
    """Change what MMEngine's Runner can't do without a GPU; nothing where there is one.

    AMP becomes bfloat16 autocast. For several processes synchronised batch norm is dropped
    (PyTorch has none for CPUs; for a single process the Runner drops it), and the model wrapper
    gets no device ids.
    """
    if get_device() != "cpu":
        return []
    notes = use_cpu_amp(cfg)
    if cfg.get("launcher", "none") == "none":
        return notes
    own = "each process normalises with the statistics of its own images."
    if cfg.get("sync_bn") is not None:
        notes.append(f"No GPU: sync_bn={cfg.sync_bn!r} is dropped, {own}")
        cfg.sync_bn = None
    if _use_plain_bn(cfg.get("model")):
        notes.append(f"No GPU: norm layers of type SyncBN become BN, {own}")
    wrapper = cfg.get("model_wrapper_cfg") or {
        "type": "MMDistributedDataParallel",
        "broadcast_buffers": False,
        "find_unused_parameters": cfg.get("find_unused_parameters", False),
    }
    wrapper["device_ids"] = None
    cfg.model_wrapper_cfg = wrapper
    return notes


def _use_plain_bn(part: Any) -> bool:
    """Replace synchronised batch norm at any depth of a model's config; tell whether there was."""
    if isinstance(part, (list, tuple)):
        return any([_use_plain_bn(each) for each in part])  # a list: any() must not stop early
    if not isinstance(part, dict):
        return False
    kind = part.get("type")
    found = kind is SyncBatchNorm or (
        isinstance(kind, str) and kind.rsplit(".", 1)[-1] in _SYNC_BN_TYPES
    )
    if found:
        part["type"] = "BN"
    return any([_use_plain_bn(each) for each in part.values()]) or found
