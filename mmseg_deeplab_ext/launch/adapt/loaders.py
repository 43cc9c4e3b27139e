"""Data loaders without workers: what only workers have is dropped."""

from __future__ import annotations

from mmengine.config import Config

from mmseg_deeplab_ext.config_view import SPLITS

_OF_WORKERS = ("persistent_workers", "prefetch_factor")


def load_without_workers(cfg: Config) -> list[str]:
    """Let ``num_workers=0`` work, whatever the file says of workers: PyTorch would refuse it."""
    notes = []
    for key in (f"{split}_dataloader" for split in SPLITS):
        loader = cfg.get(key) or {}
        dropped = [name for name in _OF_WORKERS if loader.get(name)]
        if dropped and loader.get("num_workers", 0) == 0:
            for name in dropped:
                loader.pop(name)
            notes.append(f"{key}.num_workers=0: without workers there is no {', '.join(dropped)}.")
    return notes
