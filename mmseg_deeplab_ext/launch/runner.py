"""The config's Runner, and all that our runs do otherwise than MMEngine's.

MMEngine's Runner, loops and hooks call what is overridden here, and it is public: a further change
of what happens at run time is a further method.
"""

from __future__ import annotations

import logging
import os
from typing import Any, Callable, Sequence

from mmengine.config import Config
from mmengine.runner import Runner
from mmseg.registry import RUNNERS

from mmseg_deeplab_ext.building import building
from mmseg_deeplab_ext.config_view import ConfigView
from mmseg_deeplab_ext.conversion.pth import reading
from mmseg_deeplab_ext.launch.checked_loading import checked_loader
from mmseg_deeplab_ext.launch.distributed import check_gpu_of_this_process, connect_without_gpu


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

    Args:
        cfg: A whole config, adapted to this run and this machine.
        changes: What it does otherwise than its ``runner_type``.
        warnings: Sentences for its log.
        notes: Sentences for its log.

    Raises:
        ConfigError: This process has no GPU, or the launcher did not say where the first process
            is; or a class refuses its config. So does running it, before the first iteration.
    """
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
