"""From a config to the Runner of a training: what ``tools/train.py`` calls."""

from __future__ import annotations

from typing import Any, Mapping

from mmengine.config import Config
from mmengine.runner import Runner

from mmseg_deeplab_ext.config_view import ConfigView
from mmseg_deeplab_ext.engine.first_buffers import FirstProcessBuffersHook
from mmseg_deeplab_ext.engine.stop_at_divergence import StopAtDivergenceHook
from mmseg_deeplab_ext.launch.adapt import adapt_training
from mmseg_deeplab_ext.launch.checks.before_start import check_config
from mmseg_deeplab_ext.launch.checks.built_runner import check_runner
from mmseg_deeplab_ext.launch.runner import CheckedRun, build_runner
from mmseg_deeplab_ext.writable import check_output_folders


def training_runner(
    cfg: Config,
    *,
    options: Mapping[str, Any] | None = None,
    amp: bool = False,
    resume: bool = False,
    every_label: bool = False,
) -> Runner:
    """Build the Runner for a training, wherever it runs.

    Args:
        cfg: What ``load_config`` returned; it is changed in place.
        options: The same ``--cfg-options``: a batch size per process given there wins.
        amp: Train with automatic mixed precision.
        resume: Go on from the latest checkpoint in the work directory, if there is one.
        every_label: Read every label map first, not only a few.

    Raises:
        ConfigError: The config asks for something impossible on these processes, or the work
            directory can't be written into. Running it raises a CheckpointError, before the first
            iteration, if nothing of the weights in ``load_from`` fits or the state to resume does
            not, and a TrainingDivergedError as soon as the loss is not finite.
        CheckpointError: What the training starts from does not exist, or can't be read.
        DatasetError: A file of the training or validation split is missing, or a label map that
            was read is bad.
    """
    view = ConfigView.of(cfg, splits=("train", "val"))
    warnings = check_config(view)
    notes = adapt_training(cfg, options=options or {}, amp=amp, resume=resume)
    check_output_folders({"--work-dir": cfg.get("work_dir")})  # last: it makes the folder
    runner = build_runner(cfg, CheckedRun, warnings=warnings, notes=notes)
    check_runner(runner, view, every_label=every_label)
    runner.register_hook(StopAtDivergenceHook())
    if runner.world_size > 1:
        runner.register_hook(FirstProcessBuffersHook())
    return runner
