"""Files and folders that appear whole or not at all, however a program ends."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator


@contextmanager
def file_made_whole(path: Path) -> Iterator[Path]:
    """Write a file under a temporary name beside it; rename it when the block ends well.

    A block that raises leaves nothing behind.

    Args:
        path: The wanted file; its folder exists. A file already there is replaced in one step.

    Yields:
        The temporary file, empty.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    temporary.touch()
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink()
        raise


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all.

    Args:
        path: The file; its folder exists. A file already there is replaced in one step.
        content: What to write.
    """
    with file_made_whole(path) as temporary:
        temporary.write_bytes(content)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files that killed programs left in a folder."""
    for leftover in folder.glob(".*.partial"):
        leftover.unlink()


@contextmanager
def folder_made_whole(folder: Path) -> Iterator[Path]:
    """Fill a temporary folder beside the wanted one; rename it when the block ends well.

    A block that raises leaves nothing behind. What a killed program left behind has a name that
    no program looks for, ``.<name>.<random>.partial``, and the next call removes it.

    Args:
        folder: The wanted folder, which must not exist.

    Yields:
        The temporary folder to fill.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    for leftover in folder.parent.glob(f".{folder.name}.*.partial"):
        shutil.rmtree(leftover)
    temporary = Path(
        tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent)
    )
    try:
        yield temporary
        # mkdtemp makes a folder that only its owner can read.
        temporary.chmod(0o755)
        os.rename(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
