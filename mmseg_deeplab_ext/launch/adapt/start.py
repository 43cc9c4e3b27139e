"""Where a training starts: new weights, those of another training, or its own checkpoint."""

from __future__ import annotations

from typing import Any, Mapping

from mmengine.config import Config
from mmengine.runner import find_latest_checkpoint

from mmseg_deeplab_ext.conversion.addresses import is_address
from mmseg_deeplab_ext.conversion.pth import demand_pth, load_pth
from mmseg_deeplab_ext.errors import CheckpointNotFoundError


def choose_start(cfg: Config, *, options: Mapping[str, Any], resume: bool) -> list[str]:
    """Choose between ``load_from`` and the interrupted run's checkpoint (``--resume``).

    MMEngine resumes from ``load_from`` where there is one. A second stage of training, whose config
    names the first one's checkpoint there, would go on at the end of the *first*. So a
    ``load_from`` of the config file is what a training starts from, and its own checkpoint, where
    there is one, what ``--resume`` resumes from. One given as an option stays what MMEngine makes
    of it, and so does one of a config file that says ``resume=True`` itself, unless it is a
    TensorFlow checkpoint, which holds no state to resume.
    """
    path = cfg.get("load_from")
    if path is None:
        return []
    own = resume and "load_from" not in options
    if cfg.get("resume") and (own or is_address(path)):
        if find_latest_checkpoint(cfg.work_dir) is not None:
            cfg.load_from = None
            return []
        cfg.resume = False
        notes = [f"resume: {cfg.work_dir} has no checkpoint, so the training starts from {path}."]
    else:
        notes = []
    if not cfg.get("resume"):
        try:
            demand_pth(path)
        except CheckpointNotFoundError as error:
            raise CheckpointNotFoundError(
                f"load_from, which the training starts from: {error}. A second stage needs the "
                "first to have run; another file is named with `--cfg-options load_from=PATH`."
            ) from error
    return notes


def restore_seed(cfg: Config) -> list[str]:
    """Restore the random seed of the interrupted run; say if it was finished.

    MMEngine draws a seed when ``randomness.seed`` is not configured, and stores it in its
    checkpoints. On resuming it restores that seed only after the training data loader was built
    with a newly drawn one, so that the order of the images would start anew. Setting the seed
    beforehand mends that. The state of the random generators (augmentation, dropout) is not
    stored and starts anew all the same.
    """
    if not cfg.get("resume"):
        return []
    # The same choice as in Runner.load_or_resume.
    path: str | None = cfg.get("load_from") or find_latest_checkpoint(cfg.work_dir)
    if path is None:
        return [f"resume: {cfg.work_dir} has no checkpoint, so the training starts anew."]
    try:
        demand_pth(path)
    except CheckpointNotFoundError as error:
        raise CheckpointNotFoundError(
            f"resume: {error}. Name another one with `--cfg-options load_from=PATH`, or delete "
            f"{cfg.work_dir}/last_checkpoint to start anew."
        ) from error
    meta = load_pth(path).get("meta") or {}
    notes = _nothing_left(cfg, path, iteration=meta.get("iter"))
    seed = meta.get("seed")
    if seed is None or cfg.get("randomness", {}).get("seed") is not None:
        return notes
    cfg.randomness = {**cfg.get("randomness", {}), "seed": seed}
    return [*notes, f"resume: randomness.seed={seed} as in {path}."]


def _nothing_left(cfg: Config, path: str, *, iteration: int | None) -> list[str]:
    wanted = (cfg.get("train_cfg") or {}).get("max_iters")
    if None in (iteration, wanted) or iteration < wanted:
        return []
    return [
        f"resume: {path} is at iteration {iteration} of {wanted}: nothing is left to train. To go "
        "on, raise train_cfg.max_iters and the end of the param_scheduler."
    ]
