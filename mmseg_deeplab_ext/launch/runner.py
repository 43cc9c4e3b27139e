"""From a config to the Runner of a training or an evaluation: what the tools call.

MMEngine's Runner, loops and hooks call what is overridden here, and it is public: a further change
of what happens at run time is a further method there.
"""

from __future__ import annotations

import logging
import os
from typing import Any, Callable, Mapping, Sequence

from mmengine.config import Config
from mmengine.runner import Runner
from mmseg.registry import RUNNERS

from mmseg_deeplab_ext.building import building
from mmseg_deeplab_ext.config_view import ConfigView
from mmseg_deeplab_ext.conversion.plain_loading import reading, use_plain_loaders
from mmseg_deeplab_ext.conversion.weights import check_evaluable
from mmseg_deeplab_ext.engine.batch_norm import FirstProcessBuffersHook
from mmseg_deeplab_ext.engine.stop_at_divergence import StopAtDivergenceHook
from mmseg_deeplab_ext.launch.adapt import adapt_evaluation, adapt_training
from mmseg_deeplab_ext.launch.checked_loading import checked_loader
from mmseg_deeplab_ext.launch.checks.before_start import check_config
from mmseg_deeplab_ext.launch.checks.built_runner import check_runner
from mmseg_deeplab_ext.launch.checks.larger_images import LargerImagesHook
from mmseg_deeplab_ext.launch.distributed import check_gpu_of_this_process, connect_without_gpu
from mmseg_deeplab_ext.launch.optimised_evaluation import OptimisedEvaluationHook
from mmseg_deeplab_ext.writable import check_output_folders


class CheckedRun:
    """Mixed into the config's Runner class: what is read is checked."""

    def load_checkpoint(self, filename: str, *args: Any, **kwargs: Any) -> Any:
        """Load a checkpoint; one that can't be read is named."""
        with reading(filename):
            return super().load_checkpoint(filename, *args, **kwargs)

    def build_dataloader(self, dataloader: Any, *args: Any, **kwargs: Any) -> Any:
        """Build a data loader that loads through the checked transforms.

        The config in the work directory stays as it is: people hand it to MMSegmentation's
        inference, which knows the stock names only.
        """
        if isinstance(dataloader, dict):
            ignored = ConfigView.of(self.cfg, splits=()).ignore_index
            dataloader = checked_loader(dataloader, ignore_index=ignored)
        with building("a data loader"):
            return super().build_dataloader(dataloader, *args, **kwargs)


def _named_when_refused(method: str, what: str) -> Callable[..., Any]:
    def build(self: Any, *args: Any, **kwargs: Any) -> Any:
        with building(what):
            return getattr(super(CheckedRun, self), method)(*args, **kwargs)

    return build


_BUILT = {
    "build_model": "model",
    "wrap_model": "model_wrapper_cfg",
    "build_optim_wrapper": "optim_wrapper",
    "build_param_scheduler": "param_scheduler",
    "build_train_loop": "train_cfg",
    "build_val_loop": "val_cfg",
    "build_test_loop": "test_cfg",
    "build_evaluator": "an evaluator",
    "build_visualizer": "visualizer",
    "build_log_processor": "log_processor",
    "register_hook": "a hook",
    "setup_env": "env_cfg",
    "set_randomness": "randomness",
    "scale_lr": "auto_scale_lr",
}
"""Methods that MMEngine calls when it needs a part -> the part's name."""

for _method, _what in _BUILT.items():
    setattr(CheckedRun, _method, _named_when_refused(_method, _what))


class CheckedEvaluation(CheckedRun):
    """Mixed into the config's Runner class: there is no training, and none left its traces."""

    train_loop = None
    """OpenMMLab's visualisation hook asks for ``runner.iter``, and the Runner would build the
    training, data and all, to answer that."""

    def dump_config(self) -> None:
        """Leave a config file that is in the work directory already: the training's."""
        name = os.path.basename(self.cfg.filename or "")
        if not (name and os.path.exists(os.path.join(self.work_dir, name))):
            super().dump_config()


def build_runner(
    cfg: Config, changes: type[CheckedRun], *, warnings: Sequence[str], notes: Sequence[str]
) -> Runner:
    """Build a config's Runner, connected to those of the other processes.

    ``changes`` is what it does otherwise than the config's ``runner_type``; ``warnings`` and
    ``notes`` are sentences for its log.
    """
    use_plain_loaders()
    check_gpu_of_this_process(cfg.launcher)
    notes = [*notes, *connect_without_gpu(cfg)]
    kind = RUNNERS.get(cfg.get("runner_type", "Runner"))
    with building("the Runner"):
        runner = type(changes.__name__, (changes, kind), {}).from_cfg(cfg)
    # Not earlier: now they reach the log file, and of one process only.
    for level, sentences in ((logging.WARNING, warnings), (logging.INFO, notes)):
        for sentence in sentences:
            runner.logger.log(level, sentence)
    return runner


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


def evaluation_runner(
    cfg: Config,
    *,
    checkpoint: str,
    out: str | None = None,
    tta: bool = False,
    optimise: bool = True,
    dtype: str = "fp32",
    every_label: bool = False,
) -> Runner:
    """Build the Runner for an evaluation on the test split.

    Args:
        cfg: What ``load_config`` returned; it is changed in place.
        checkpoint: File, or an address with a scheme that MMEngine knows.
        out: Directory for the predicted label images, one PNG of class indices per image.
        tta: Evaluate the config's ``tta_model`` (``--tta``).
        optimise: Evaluate a quicker copy of the model, equal to rounding
            (:func:`mmseg_deeplab_ext.inference.optimise.optimise`).
        dtype: That copy's (``--dtype``).
        every_label: Read every label map first, not only a few.

    Raises:
        ConfigError: The config lacks what an argument needs, or a folder can't be written into.
            Running it raises one too, or a CheckpointError, before the first image, if the
            checkpoint has other classes, or does not fit.
        CheckpointError: The checkpoint does not exist.
        DatasetError: A file of the test split is missing, or a label map that was read is bad.
    """
    check_evaluable(checkpoint)
    # Before the checks: --tta changes which files the data sets need.
    unused, notes = adapt_evaluation(cfg, checkpoint=checkpoint, out=out, tta=tta)
    view = ConfigView.of(cfg, splits=("test",))
    warnings = [*check_config(view), *unused]
    show_dir = cfg.get("visualizer", {}).get("save_dir")
    check_output_folders({"--work-dir": cfg.get("work_dir"), "--out": out, "--show-dir": show_dir})
    runner = build_runner(cfg, CheckedEvaluation, warnings=warnings, notes=notes)
    check_runner(runner, view, every_label=every_label)
    runner.register_hook(LargerImagesHook())
    if optimise:
        runner.register_hook(OptimisedEvaluationHook(dtype))
    return runner
