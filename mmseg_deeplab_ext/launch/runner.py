"""The config's Runner, and all that our runs do otherwise than MMEngine's.

MMEngine's Runner, loops and hooks call what is overridden here, and it is public: a further change
of what happens at run time is a further method.
"""

from __future__ import annotations

import logging
import os
from typing import Any, Sequence

from mmengine.config import Config
from mmengine.runner import Runner
from mmseg.registry import RUNNERS

from mmseg_deeplab_ext.config_view import ConfigView
from mmseg_deeplab_ext.conversion.plain_loading import reading, use_plain_loaders
from mmseg_deeplab_ext.errors import ConfigError
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
        return super().build_dataloader(dataloader, *args, **kwargs)


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
            is; or a class does not take a key of its config.
    """
    use_plain_loaders()
    check_gpu_of_this_process(cfg.launcher)
    notes = [*notes, *connect_without_gpu(cfg)]
    kind = RUNNERS.get(cfg.get("runner_type", "Runner"))
    try:
        runner = type(changes.__name__, (changes, kind), {}).from_cfg(cfg)
    except TypeError as error:
        if "unexpected keyword argument" not in str(error):
            raise
        raise ConfigError(f"The config has a key that its class does not take: {error}") from error
    # Not earlier: now they reach the log file, and of one process only.
    for level, sentences in ((logging.WARNING, warnings), (logging.INFO, notes)):
        for sentence in sentences:
            runner.logger.log(level, sentence)
    return runner
