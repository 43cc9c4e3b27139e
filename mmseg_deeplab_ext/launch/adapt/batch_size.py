"""The part of ``global_batch_size`` that every process gets."""

from __future__ import annotations

from typing import Any, Mapping

from mmengine.config import Config

from mmseg_deeplab_ext.engine.batch_size import (
    ACCUMULATES,
    KEY,
    PER_PROCESS_KEY,
    accumulation_of,
    check_total,
    parts_of,
    per_process_of,
)


def share_global_batch(cfg: Config, world_size: int, *, options: Mapping[str, Any]) -> list[str]:
    """Give every process its part of ``cfg.global_batch_size``.

    A config file states the batch size of a single process beside the total, for tools that don't
    know the total; here it is replaced. One that is neither that nor right for these processes was
    meant to be used, and is refused rather than overwritten.

    Args:
        cfg: Without the key ``global_batch_size``, or with None, its data loader stays as it is.
        world_size: Number of processes that train together.
        options: What the user set on the command line. A batch size per process given there wins
            over a global one from the config file.

    Raises:
        ConfigError: ``global_batch_size`` is no positive whole number, the processes can't share
            it evenly, or it contradicts a batch size per process that was meant to be used.
    """
    total = cfg.get(KEY)
    if total is None:
        return []
    loader = cfg.train_dataloader
    given = loader.get("batch_size")
    accumulation = accumulation_of(cfg)
    parts = world_size * accumulation
    notes = [ACCUMULATES] if accumulation > 1 else []
    if PER_PROCESS_KEY in options and KEY not in options and given * parts != total:
        cfg[KEY] = None
        return [
            f"{PER_PROCESS_KEY}={given} from the command line times "
            f"{parts_of(world_size, accumulation)} replaces {KEY}={total}; the learning rate stays "
            "as configured.",
            *notes,
        ]
    if PER_PROCESS_KEY in options or (KEY not in options and given not in (None, total)):
        check_total(total, given, world_size=world_size, accumulation=accumulation)
        return notes
    loader.batch_size = per_process_of(total, world_size=world_size, accumulation=accumulation)
    if loader.batch_size != given:
        notes.append(
            f"{KEY}={total} over {parts_of(world_size, accumulation)}: "
            f"{PER_PROCESS_KEY}={loader.batch_size}."
        )
    return notes
