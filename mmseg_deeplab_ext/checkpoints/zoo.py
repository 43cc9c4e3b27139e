"""Fetch checkpoints of the model zoo into a cache folder."""

from __future__ import annotations

import os
from pathlib import Path

from mmseg_deeplab_ext import download
from mmseg_deeplab_ext.checkpoints.reader import Checkpoint, open_checkpoint
from mmseg_deeplab_ext.checkpoints.zoo_table import SCHEME, ZooEntry, find_entry
from mmseg_deeplab_ext.errors import (
    CheckpointChecksumError,
    CheckpointError,
    CheckpointFormatError,
    CheckpointNotFoundError,
    EnvironmentNotReadyError,
)

URL_PREFIX = "https://download.tensorflow.org/models/"
"""Where the archives are (``model_zoo.md``)."""

URL_VARIABLE = "DEEPLAB_ZOO_URL"
"""Environment variable with the address of a mirror, in place of ``URL_PREFIX``."""


def fetch(name: str, *, folder: Path | None = None, recheck: bool = False) -> Path:
    """Return the archive of an entry, downloading it where it is not in the cache.

    No digests were ever published, so a download is accepted if its gzip stream is whole and every
    tensor has the checksum that TensorFlow stored with it; only then does it get its name.

    Args:
        name: Name of an entry, with or without ``tf-zoo://``.
        folder: The cache; PyTorch's when not given (``$TORCH_HOME/hub/checkpoints``, by default
            ``~/.cache/torch/hub/checkpoints``).
        recheck: Check an archive that is in the cache already as if it had just arrived.

    Returns:
        The path of the archive; `open_checkpoint` takes it.

    Raises:
        CheckpointNotFoundError: There is no such entry, the download failed, or the folder can't
            be used.
        CheckpointFormatError: What arrived, or with ``recheck`` what is in the cache, is damaged.
        EnvironmentNotReadyError: No folder was given and PyTorch is not installed.
    """
    entry = find_entry(name)
    folder = _default_folder() if folder is None else Path(folder)
    path = folder / entry.archive
    try:
        if path.exists() and not recheck:
            return path
        return download.fetch(_remote_file(entry), folder)
    except OSError as error:
        raise CheckpointNotFoundError(
            f"the cache folder {folder} can't be used ({error}). Name another one with the "
            "environment variable TORCH_HOME, or after --folder of the command."
        ) from error


def open_entry(name: str, *, folder: Path | None = None) -> Checkpoint:
    """Open a checkpoint of the zoo, downloading it where it is not in the cache.

    Args:
        name: As for `fetch`.
        folder: As for `fetch`.

    Raises:
        CheckpointError: As for `fetch`; an archive in the cache that is damaged is named.
        EnvironmentNotReadyError: As for `fetch`.
    """
    path = fetch(name, folder=folder)
    try:
        return open_checkpoint(path)
    except (CheckpointFormatError, CheckpointChecksumError, CheckpointNotFoundError) as error:
        raise type(error)(
            f"the archive {path} in the cache is damaged or another file: {error}. Delete it, and "
            "it will be downloaded again."
        ) from error


def _default_folder() -> Path:
    try:
        import torch
    except ImportError as error:
        raise EnvironmentNotReadyError(
            "the default cache folder is PyTorch's, and PyTorch is not installed: give a folder."
        ) from error
    return Path(torch.hub.get_dir(), "checkpoints")


def _remote_file(entry: ZooEntry) -> download.RemoteFile:
    prefix = os.environ.get(URL_VARIABLE) or URL_PREFIX
    return download.RemoteFile(
        name=entry.archive,
        url=f"{prefix.rstrip('/')}/{entry.archive}",
        find_fault=_find_fault,
        unreachable=CheckpointNotFoundError,
        damaged=CheckpointFormatError,
        mirror=f"name your copy in place of {SCHEME}{entry.name} (tf:///FOLDER/{entry.archive}), "
        f"or set {URL_VARIABLE} to the address of a mirror",
    )


def _find_fault(path: Path) -> str | None:
    """Read every byte of an archive and every tensor; say what is wrong, None where nothing is."""
    try:
        with open_checkpoint(path) as checkpoint:  # This reads the gzip stream to its end.
            for name in checkpoint:
                checkpoint.read(name)
    except CheckpointError as error:
        return f"holds no sound checkpoint ({error})"
    return None
