"""From a config file to a Runner: what ``tools/train.py`` and ``tools/test.py`` call."""

from __future__ import annotations

import logging
import os
from typing import Any, Mapping, Sequence

from mmengine.config import Config
from mmengine.dist import get_dist_info
from mmengine.runner import Runner

from mmseg_deeplab_ext.config_view import class_names, datasets_of, heads_of
from mmseg_deeplab_ext.conversion.addresses import is_address
from mmseg_deeplab_ext.conversion.weights import check_evaluable
from mmseg_deeplab_ext.engine.amp import enable_amp
from mmseg_deeplab_ext.engine.batch_size import share_global_batch
from mmseg_deeplab_ext.engine.first_buffers import FirstProcessBuffersHook
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.launch.checked_loading import use_checked_loading
from mmseg_deeplab_ext.launch.checks.dataset_files import check_class_count, check_dataset_files
from mmseg_deeplab_ext.launch.checks.doubts import config_notes
from mmseg_deeplab_ext.launch.checks.keys import check_options, misspelt_keys
from mmseg_deeplab_ext.launch.checks.labels import check_labels
from mmseg_deeplab_ext.launch.checks.larger_images import LargerImagesHook
from mmseg_deeplab_ext.launch.checks.loaded_checkpoint import CheckpointFitsHook
from mmseg_deeplab_ext.launch.distributed import (
    adapt_to_cpu,
    check_gpu_of_this_process,
    launched_world_size,
)
from mmseg_deeplab_ext.launch.resume import settle_start, take_over
from mmseg_deeplab_ext.launch.runners import runner_class
from mmseg_deeplab_ext.launch.segmentor import segmentor_in
from mmseg_deeplab_ext.launch.tta import use_tta
from mmseg_deeplab_ext.specs.network import network_of_model
from mmseg_deeplab_ext.writable import check_output_folders


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
    except (AssertionError, ModuleNotFoundError) as error:  # of bases named as PACKAGE::FILE
        raise ConfigError(
            f"The config file {path} can't be read: {error}. If one of its bases is named as "
            "`mmseg::...`: OneDL's MMEngine does not find its own MMSegmentation by that name; "
            "write the path of the file instead."
        ) from error
    options = dict(options or {})
    check_options(options, cfg)
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
            iteration, if nothing of the weights in ``load_from`` fits.
        DatasetError: A file of the training or validation split is missing, or a label map that
            was read is bad.
    """
    splits = ("train", "val")
    _check_data(cfg, splits=splits)
    if resume:
        cfg.resume = True
    doubts = misspelt_keys(cfg) + config_notes(cfg, training=True)
    notes = enable_amp(cfg) if amp else []
    notes += settle_start(cfg, options=options or {}, resume=resume)
    notes += take_over(cfg)
    notes += share_global_batch(cfg, launched_world_size(cfg.launcher), options=options or {})
    check_output_folders({"--work-dir": cfg.get("work_dir")})  # last: it makes the folder
    kind = runner_class(cfg, keeps_config=False)
    runner = _build_runner(
        kind, cfg, doubts=doubts, notes=notes, splits=splits, every_label=every_label
    )
    _check_what_is_loaded(runner, cfg, split="train")
    if runner.world_size > 1:
        runner.register_hook(FirstProcessBuffersHook())
    return runner


def evaluation_runner(
    cfg: Config,
    *,
    checkpoint: str,
    out: str | None = None,
    tta: bool = False,
    every_label: bool = False,
) -> Runner:
    """Build the Runner for an evaluation on the test split.

    Args:
        cfg: What ``load_config`` returned; it is changed in place.
        checkpoint: File, or an address with a scheme that MMEngine knows.
        out: Directory for the predicted label images, one PNG of class indices per image.
        tta: Evaluate the config's ``tta_model`` (:func:`use_tta`).
        every_label: Read every label map first, not only a few.

    Raises:
        ConfigError: The config lacks what an argument needs, or a folder can't be written into.
            Running it raises one too, or a CheckpointError, before the first image, if the
            checkpoint has other classes, or does not fit.
        CheckpointError: The checkpoint does not exist.
        DatasetError: A file of the test split is missing, or a label map that was read is bad.
    """
    check_evaluable(checkpoint)
    doubts = misspelt_keys(cfg) + config_notes(cfg, training=False)
    if tta:
        doubts += use_tta(cfg)
    _check_data(cfg, splits=("test",))
    cfg.load_from = checkpoint
    cfg.resume = False
    if out is not None:
        _write_predictions(cfg, out)
    show_dir = cfg.get("visualizer", {}).get("save_dir")
    check_output_folders({"--work-dir": cfg.get("work_dir"), "--out": out, "--show-dir": show_dir})
    kind = runner_class(cfg, keeps_config=True)
    runner = _build_runner(kind, cfg, doubts=doubts, splits=("test",), every_label=every_label)
    _check_what_is_loaded(runner, cfg, split="test")
    runner.register_hook(LargerImagesHook())
    # Not in cfg, which is written into the work directory. OpenMMLab's visualisation hook asks for
    # runner.iter, and the Runner would build the training, data and all, to answer that.
    runner._train_loop = runner._train_dataloader = None
    return runner


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


def _build_runner(
    kind: type[Runner],
    cfg: Config,
    *,
    doubts: Sequence[str],
    notes: Sequence[str] = (),
    splits: Sequence[str],
    every_label: bool,
) -> Runner:
    check_gpu_of_this_process(cfg.launcher)
    notes = [*notes, *adapt_to_cpu(cfg)]
    try:
        runner = kind.from_cfg(cfg)
    except TypeError as error:
        if "unexpected keyword argument" not in str(error):
            raise
        raise ConfigError(f"The config has a key that its class does not take: {error}") from error
    # Not earlier: now they reach the log file, and of one process only.
    for level, sentences in ((logging.WARNING, doubts), (logging.INFO, notes)):
        for sentence in sentences:
            runner.logger.log(level, sentence)
    _check_loading(runner, cfg, splits=splits, every_label=every_label)
    _check_takes_tensorflow_weights(runner, cfg)
    return runner


def _check_what_is_loaded(runner: Runner, cfg: Config, *, split: str) -> None:
    source = cfg.get("load_from")
    if source is None:
        return
    classes = next((class_names(leaf) for _, leaf in datasets_of(cfg, [split])), None)
    runner.register_hook(CheckpointFitsHook(classes, source, training=split == "train"))


def _check_takes_tensorflow_weights(runner: Runner, cfg: Config) -> None:
    """Demand networks of ours where TensorFlow's weights are for a whole segmentor.

    Ours check for themselves what they are given; MMEngine would pass over weights that a
    network of somebody else's has no names for.
    """
    named = [cfg.get("load_from"), (cfg.model.get("init_cfg") or {}).get("checkpoint")]
    if any(is_address(str(checkpoint)) for checkpoint in named):
        network_of_model(segmentor_in(runner.model))


def _check_loading(
    runner: Runner, cfg: Config, *, splits: Sequence[str], every_label: bool
) -> None:
    """Load through the checked transforms, with the config in the work directory left as it is.

    People hand that config to MMSegmentation's inference, which knows the stock names only.
    """
    ignored = [head.get("ignore_index", 255) for _, head in heads_of(cfg.model)] or [255]
    for split in splits:
        loader = getattr(runner, f"_{split}_dataloader")
        if isinstance(loader, dict):
            use_checked_loading(loader, ignore_index=ignored[0])
            check_labels(loader, every=every_label, share=get_dist_info())


def _write_predictions(cfg: Config, directory: str) -> None:
    evaluators = cfg.test_evaluator
    if not isinstance(evaluators, (list, tuple)):
        evaluators = [evaluators]
    metrics = [metric for metric in evaluators if metric["type"].split(".")[-1] == "IoUMetric"]
    if not metrics:
        raise ConfigError("--out needs an IoUMetric in the config's test_evaluator.")
    metrics[0]["output_dir"] = directory
