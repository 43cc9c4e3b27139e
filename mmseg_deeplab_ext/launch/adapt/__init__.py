"""Who changes a config after it was read: these two functions, step by step.

Every step changes the config in place, and returns sentences that say what it changed for a reason
that the user did not give. A new one goes into the list, where its order can be seen.
"""

from __future__ import annotations

from typing import Any, Mapping

from mmengine.config import Config

from mmseg_deeplab_ext.engine.batch_size import share_global_batch
from mmseg_deeplab_ext.launch.adapt.amp import enable_amp
from mmseg_deeplab_ext.launch.adapt.cpu import adapt_to_cpu
from mmseg_deeplab_ext.launch.adapt.loaders import load_without_workers
from mmseg_deeplab_ext.launch.adapt.outputs import write_predictions
from mmseg_deeplab_ext.launch.adapt.start import choose_start, restore_seed
from mmseg_deeplab_ext.launch.adapt.tta import use_tta
from mmseg_deeplab_ext.launch.distributed import launched_world_size


def adapt_training(
    cfg: Config, *, options: Mapping[str, Any], amp: bool, resume: bool
) -> list[str]:
    """Make a config that of this training on these processes; returns sentences for the log."""
    if resume:
        cfg.resume = True
    return [
        *(enable_amp(cfg) if amp else []),
        *choose_start(cfg, options=options, resume=resume),
        *restore_seed(cfg),  # of the checkpoint that was chosen
        *share_global_batch(cfg, launched_world_size(cfg.launcher), options=options),
        *load_without_workers(cfg),
        *adapt_to_cpu(cfg),  # of what --amp made of it
    ]


def adapt_evaluation(
    cfg: Config, *, checkpoint: str, out: str | None, tta: bool
) -> tuple[list[str], list[str]]:
    """Make a config that of this evaluation; returns (warnings, information) for the log."""
    cfg.load_from = checkpoint
    cfg.resume = False
    warnings = use_tta(cfg) if tta else []
    if out is not None:
        write_predictions(cfg, out)
    return warnings, [*load_without_workers(cfg), *adapt_to_cpu(cfg)]
