"""Folders that a run will write into, tried out before it starts."""

from __future__ import annotations

import os
import tempfile
from typing import Mapping

from mmseg_deeplab_ext.errors import ConfigError


def check_output_folders(folders: Mapping[str, str | None]) -> None:
    """Make the folders and demand that files can be written into them.

    Trying is the only test that knows of full disks, quotas and read-only mounts.

    Args:
        folders: What names a folder (``--out``, ...) -> its path; None where there is none.

    Raises:
        ConfigError: One can't be made or written into; it names all of them, and why.
    """
    problems = []
    for name, folder in folders.items():
        if folder is None:
            continue
        try:
            os.makedirs(folder, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            problems.append(f"{name} {folder}: {error.strerror} ({error.filename or folder})")
    if problems:
        raise ConfigError(
            "Results can't be written. Choose other folders, or free these:\n" + "\n".join(problems)
        )
