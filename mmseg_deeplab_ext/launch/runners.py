"""The config's Runner, with what our tools change in it."""

from __future__ import annotations

import os
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner
from mmseg.registry import RUNNERS

from mmseg_deeplab_ext.conversion.pth import reading


def runner_class(cfg: Config, *, keeps_config: bool) -> type[Runner]:
    """The class of the config's ``runner_type``, made to name a checkpoint that can't be read.

    Args:
        cfg: A whole config.
        keeps_config: Leave a config file that is in the work directory already, such as the one of
            the training that is evaluated.
    """
    kind = RUNNERS.get(cfg.get("runner_type", "Runner"))

    class CheckedRunner(kind):  # type: ignore[valid-type, misc]
        def load_checkpoint(self, filename: str, *args: Any, **kwargs: Any) -> Any:
            with reading(filename):
                return super().load_checkpoint(filename, *args, **kwargs)

        def dump_config(self) -> None:
            name = os.path.basename(self.cfg.filename or "")
            there = name and os.path.exists(os.path.join(self.work_dir, name))
            if not (keeps_config and there):
                super().dump_config()

    return CheckedRunner
