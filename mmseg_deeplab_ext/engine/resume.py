"""What ``--resume`` needs so that the data go on where they stopped."""

from __future__ import annotations

import os

from mmengine.config import Config
from mmengine.runner import CheckpointLoader, find_latest_checkpoint

from mmseg_deeplab_ext.checkpoints.loader import is_address
from mmseg_deeplab_ext.errors import ConfigError


def start_or_resume(cfg: Config) -> list[str]:
    """Make ``--resume`` go with a ``load_from`` that is a TensorFlow checkpoint, in place.

    MMEngine would resume from ``load_from``, but that one holds no state of a training: it is where
    the first start of the run takes its weights from.

    Args:
        cfg: Config with ``work_dir`` and ``resume`` set.

    Returns:
        Sentences for the log.
    """
    if not cfg.get("resume") or not is_address(str(cfg.get("load_from"))):
        return []
    if find_latest_checkpoint(cfg.work_dir) is None:
        cfg.resume = False
        return [f"--resume: {cfg.work_dir} has no checkpoint: starting from {cfg.load_from}."]
    cfg.load_from = None
    return []


def resume_seed(cfg: Config) -> list[str]:
    """Take over the random seed of the interrupted run, in place.

    MMEngine draws a seed when ``randomness.seed`` is not configured, and stores it in its
    checkpoints. On resuming it restores that seed only after the training data loader was built
    with a newly drawn one, so that the order of the images would start anew. Setting the seed
    beforehand mends that. The state of the random generators (augmentation, dropout) is not
    stored and starts anew all the same.

    Args:
        cfg: Config with ``work_dir`` and ``resume`` set.

    Returns:
        Sentences for the log.

    Raises:
        ConfigError: The work directory names a checkpoint that is gone.
    """
    if not cfg.get("resume"):
        return []
    # The same choice as in Runner.load_or_resume.
    path: str | None = cfg.get("load_from") or find_latest_checkpoint(cfg.work_dir)
    if path is None:
        return [f"--resume: {cfg.work_dir} has no checkpoint, so the training starts anew."]
    if "://" not in path and not os.path.isfile(path):
        raise ConfigError(
            f"--resume: the checkpoint {path} does not exist. Name another one with "
            f"`--cfg-options load_from=PATH`, or delete {cfg.work_dir}/last_checkpoint to start "
            "anew."
        )
    if cfg.get("randomness", {}).get("seed") is not None:
        return []
    seed = CheckpointLoader.load_checkpoint(path, map_location="cpu").get("meta", {}).get("seed")
    if seed is None:
        return []
    cfg.randomness = {**cfg.get("randomness", {}), "seed": seed}
    return [f"--resume: randomness.seed={seed} as in {path}."]
