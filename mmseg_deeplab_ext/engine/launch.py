"""From a config file to a Runner: what ``tools/train.py`` and ``tools/test.py`` call."""

from __future__ import annotations

import difflib
import inspect
import os
from typing import Any, Mapping, Sequence

from mmengine.config import Config
from mmengine.runner import Runner
from mmseg.registry import RUNNERS

from mmseg_deeplab_ext.datasets.files_check import check_class_count, check_dataset_files
from mmseg_deeplab_ext.engine.amp import enable_amp
from mmseg_deeplab_ext.engine.batch_size import KEY as GLOBAL_BATCH_SIZE
from mmseg_deeplab_ext.engine.batch_size import share_global_batch
from mmseg_deeplab_ext.engine.distributed import (
    adapt_to_cpu,
    check_gpu_of_this_process,
    launched_world_size,
)
from mmseg_deeplab_ext.engine.resume import resume_seed
from mmseg_deeplab_ext.errors import ConfigError

# Read from the config by the Runner, besides its parameters, and by this package's tools.
_KNOWN_KEYS = (
    "activation_checkpointing",
    "compile",
    "custom_imports",
    "efficient_conv_bn_eval",
    "find_unused_parameters",
    "model_wrapper_cfg",
    "runner_type",
    "sync_bn",
    "tta_model",
    "tta_pipeline",
    GLOBAL_BATCH_SIZE,
)


def load_config(
    path: str,
    *,
    launcher: str = "none",
    options: Mapping[str, Any] | None = None,
    work_dir: str | None = None,
) -> Config:
    """Read a config file and apply what the command line says.

    Args:
        path: Config file.
        launcher: ``none``, ``pytorch``, ``slurm`` or ``mpi``.
        options: ``--cfg-options``, dotted keys to values.
        work_dir: ``--work-dir``; without it the config's, or ``./work_dirs/<name of the file>``.

    Raises:
        ConfigError: The file can't be read, or an option does not fit the config.
    """
    try:
        cfg = Config.fromfile(path)
    except OSError as error:  # FileNotFoundError included; "Only py/yml/..." is an OSError too
        raise ConfigError(f"The config file {path} can't be read: {error}") from error
    options = dict(options or {})
    _check_keys(options, cfg)
    try:
        cfg.merge_from_dict(options)
    except (KeyError, TypeError) as error:
        raise ConfigError(f"--cfg-options does not fit {path}: {error}") from error
    cfg.launcher = launcher
    if work_dir is not None:
        cfg.work_dir = work_dir
    elif cfg.get("work_dir") is None:
        cfg.work_dir = os.path.join("work_dirs", os.path.splitext(os.path.basename(path))[0])
    return cfg


def training_runner(
    cfg: Config,
    *,
    options: Mapping[str, Any] | None = None,
    amp: bool = False,
    resume: bool = False,
) -> Runner:
    """Build the Runner for a training, wherever it runs.

    Args:
        cfg: What ``load_config`` returned; it is changed in place.
        options: The same ``--cfg-options``: a batch size per process given there wins.
        amp: Train with automatic mixed precision.
        resume: Go on from the latest checkpoint in the work directory, if there is one.

    Raises:
        ConfigError: The config asks for something impossible on these processes.
        DatasetError: A file of the training or validation split is missing.
    """
    _check_data(cfg, splits=("train", "val"))
    if resume:
        cfg.resume = True
    notes = enable_amp(cfg) if amp else []
    notes += resume_seed(cfg)
    notes += share_global_batch(cfg, launched_world_size(cfg.launcher), options=options or {})
    return _build_runner(cfg, notes)


def evaluation_runner(
    cfg: Config,
    *,
    checkpoint: str,
    out: str | None = None,
    tta: bool = False,
) -> Runner:
    """Build the Runner for an evaluation on the test split.

    Args:
        cfg: What ``load_config`` returned; it is changed in place.
        checkpoint: File, or an address with a scheme that MMEngine knows.
        out: Directory for the predicted label images, one PNG of class indices per image.
        tta: Average over the config's ``tta_pipeline``.

    Raises:
        ConfigError: The checkpoint does not exist, or the config lacks what an argument needs.
        DatasetError: A file of the test split is missing.
    """
    if "://" not in checkpoint and not os.path.isfile(checkpoint):
        raise ConfigError(f"The checkpoint {checkpoint} does not exist.")
    _check_data(cfg, splits=("test",))
    cfg.load_from = checkpoint
    cfg.resume = False  # a config's resume=True would make the Runner build the training
    if tta:
        _use_tta(cfg)
    if out is not None:
        _write_predictions(cfg, out)
    return _build_runner(cfg, [])


def draw_predictions(
    cfg: Config, *, show: bool = False, wait_time: float = 2, directory: str | None = None
) -> None:
    """Let the visualisation hook draw every prediction, in place.

    Args:
        cfg: Config with ``default_hooks.visualization``.
        show: Open a window per image.
        wait_time: Seconds that a window stays.
        directory: Where to save the pictures, below its ``vis_data/vis_image``.

    Raises:
        ConfigError: The config has no visualisation hook.
    """
    hook = cfg.get("default_hooks", {}).get("visualization")
    if hook is None:
        raise ConfigError(
            "--show and --show-dir need the visualisation hook. Add "
            "`default_hooks = dict(visualization=dict(type='SegVisualizationHook'))` to the config."
        )
    hook.draw = True
    hook.interval = 1  # OpenMMLab's hook skips test images too; OneDL's draws each of them anyway
    if show:
        hook.show = True
        hook.wait_time = wait_time
    if directory is not None:
        cfg.visualizer.save_dir = directory


def _check_data(cfg: Config, *, splits: Sequence[str]) -> None:
    check_dataset_files(cfg, splits=splits)
    check_class_count(cfg, splits=splits)


def _build_runner(cfg: Config, notes: list[str]) -> Runner:
    check_gpu_of_this_process(cfg.launcher)
    notes = [*notes, *adapt_to_cpu(cfg)]
    runner = RUNNERS.build(cfg) if "runner_type" in cfg else Runner.from_cfg(cfg)
    for note in notes:  # not earlier: now they reach the log file, and of one process only
        runner.logger.info(note)
    return runner


def _use_tta(cfg: Config) -> None:
    missing = [key for key in ("tta_pipeline", "tta_model") if cfg.get(key) is None]
    if missing:
        raise ConfigError(f"--tta needs {' and '.join(missing)} in the config.")
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
    cfg.tta_model.module = cfg.model
    cfg.model = cfg.tta_model


def _write_predictions(cfg: Config, directory: str) -> None:
    evaluators = cfg.test_evaluator
    if not isinstance(evaluators, (list, tuple)):
        evaluators = [evaluators]
    metrics = [metric for metric in evaluators if metric["type"].split(".")[-1] == "IoUMetric"]
    if not metrics:
        raise ConfigError("--out needs an IoUMetric in the config's test_evaluator.")
    metrics[0]["output_dir"] = directory


def _check_keys(options: Mapping[str, Any], cfg: Config) -> None:
    """Refuse options that nothing will read; a typing error there would go unnoticed.

    Deeper keys need no check: the class that gets an argument it doesn't know raises.
    """
    known = {*cfg, *inspect.signature(Runner.__init__).parameters, *_KNOWN_KEYS}
    for option in options:
        key = option.partition(".")[0]
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            raise ConfigError(
                f"--cfg-options {option}: neither {cfg.filename} nor MMEngine's Runner has a key "
                f"{key!r}. "
                + (f"Did you mean {close[0]!r}? " if close else "")
                + "(A key of your own goes into the config file.)"
            )
