"""Whether files and folders can be written, found out before the work that fills them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Iterable, Mapping

from mmseg_deeplab_ext.errors import ConfigError


def check_output_folders(folders: Mapping[str, str | None]) -> None:
    """Make the folders and demand that files can be written into them.

    ``folders``: what names a folder (``--out``, ...) -> its path; None where there is none. The
    message names all that can't be made or written into, and why.
    """
    problems = []
    for name, folder in folders.items():
        if folder is None:
            continue
        try:
            os.makedirs(folder, exist_ok=True)
            _try_to_write_into(folder)
        except OSError as error:
            problems.append(f"{name} {folder}: {error.strerror} ({error.filename or folder})")
    if problems:
        raise ConfigError(
            "Results can't be written. Choose other folders, or free these:\n" + "\n".join(problems)
        )


def problems_of_files(paths: Iterable[Path], *, overwrite: bool) -> list[str]:
    """A sentence for each file that can't be written, its folder being there.

    With ``overwrite`` files that are there already may be replaced.
    """
    problems = [_problem_of_file(path, overwrite=overwrite) for path in paths]
    return [problem for problem in problems if problem]


def _problem_of_file(path: Path, *, overwrite: bool) -> str | None:
    folder = path.parent
    if not folder.is_dir():
        return f"{path}: the folder {folder} does not exist; create it"
    if path.is_dir():
        return f"{path} is a folder, expected the name of a file"
    if path.exists() and not overwrite:
        return f"{path} exists already; --force overwrites it (overwrite=True in Python)"
    try:
        _try_to_write_into(folder)
    except OSError as error:
        return f"{path}: the folder {folder} is not writable: {error.strerror}"
    return None


def _try_to_write_into(folder: str | Path) -> None:
    """Make a file and remove it: the only test that knows of full disks and read-only mounts."""
    with tempfile.TemporaryFile(dir=folder):
        pass
