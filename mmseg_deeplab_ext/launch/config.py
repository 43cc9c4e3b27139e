"""Read a config file as the command line asks for it."""

from __future__ import annotations

import os
from typing import Any, Mapping

from mmengine.config import Config

from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.launch.checks.keys import check_options


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
