"""``.pth`` files are data: MMEngine's loaders, made to read nothing else in this process.

Whatever their scheme (a path, ``https://``, ``torchvision://``, ...), MMEngine's loaders end in
``torch.load``: the official ones without a word on what may be loaded, OneDL's with a second try
without protection. While one of them runs, ``torch.load`` is :func:`load_plain`.
"""

from __future__ import annotations

import functools
import os
import pickle
from contextlib import contextmanager
from typing import Any, BinaryIO, Callable, Iterator, Mapping

import torch
from mmengine.runner import CheckpointLoader, checkpoint
from mmengine.utils import digit_version
from torch import Tensor

from mmseg_deeplab_ext.conversion.finite import demand_finite
from mmseg_deeplab_ext.conversion.plain_pickle import names_in, plain_globals, read_plain
from mmseg_deeplab_ext.errors import (
    CheckpointFormatError,
    CheckpointNotFoundError,
    CheckpointUnsupportedError,
    DeepLabExtError,
)
from mmseg_deeplab_ext.safe_globals import mmengine_globals
from mmseg_deeplab_ext.wording import listed

TRUST_FLAG = "--trust-checkpoint"
SAFE_TORCH = "2.10.0"
"""From here on no way around ``weights_only=True`` is known. Before: CVE-2025-32434 (up to 2.5.1)
and CVE-2026-24747 (up to 2.9.1)."""

_LOADERS = {
    "": checkpoint.load_from_local,
    ("http://", "https://"): checkpoint.load_from_http,
    ("modelzoo://", "torchvision://"): checkpoint.load_from_torchvision,
    ("open-mmlab://", "openmmlab://"): checkpoint.load_from_openmmlab,
    "mmcls://": checkpoint.load_from_mmcls,
    (r"(\S+\:)?s3://", r"(\S+\:)?petrel://"): checkpoint.load_from_ceph,
    "pavi://": checkpoint.load_from_pavi,
}
"""MMEngine's (``mmengine/runner/checkpoint.py``), under the prefixes that they have there."""

_torch_load = torch.load
_trusted = False


def trust_checkpoints(trusted: bool) -> None:
    """Say whether this process loads ``.pth`` files that hold more than plain data, and runs them.

    Args:
        trusted: What ``--trust-checkpoint`` says.
    """
    global _trusted
    _trusted = trusted


def use_plain_loaders() -> None:
    """Put loaders that read plain data into the place of MMEngine's, in this process."""
    for prefixes, loader in _LOADERS.items():
        CheckpointLoader.register_scheme(prefixes, _checked(loader), force=True)


@contextmanager
def reading(checkpoint: str) -> Iterator[None]:
    """Name the file (or address) in the errors of whatever loads it inside this context."""
    try:
        yield
    except DeepLabExtError:
        raise
    except OSError as error:
        raise CheckpointNotFoundError(f"{checkpoint} can't be read: {error}") from error
    # What torch.load raises depends on the bytes: pickle obeys whatever it takes for instructions.
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        if os.path.isfile(checkpoint) and not os.path.getsize(checkpoint):
            reason = "it is empty"
        raise _unsound(checkpoint, reason) from error


def _unsound(source: str, reason: str) -> CheckpointFormatError:
    line = reason.partition("\n")[0]
    return CheckpointFormatError(f"{source} is no sound PyTorch file ({line})")


def load_plain(file: Any, map_location: Any = None, *, source: str) -> Any:
    """``torch.load`` without the code that a file may hold.

    Args:
        file: A path, or a binary stream.
        map_location: As for ``torch.load``; before PyTorch 2.10 the tensors are in main memory.
        source: How messages name the file.

    Raises:
        CheckpointUnsupportedError: The file holds more than plain data.
    """
    if _trusted:
        return _torch_load(file, map_location=map_location, weights_only=False)
    with _opened(file) as stream:
        try:
            if digit_version(torch.__version__) < digit_version(SAFE_TORCH):
                return read_plain(stream)
            with _only_ours_allowed():
                return _torch_load(stream, map_location=map_location, weights_only=True)
        except (pickle.UnpicklingError, RuntimeError) as error:  # the latter for TorchScript
            known = plain_globals()
            found = {n: key for n, key in names_in(stream).items() if n not in known}
            if not found:
                # PyTorch's message says first that the file can be loaded without protection.
                reason = str(error).rpartition("WeightsUnpickler error: ")[2].strip()
                raise _unsound(source, reason) from error
            raise CheckpointUnsupportedError(_refusal(found, source=source)) from error


def _refusal(found: Mapping[str, str], *, source: str) -> str:
    things = [name + f" (after {key!r})" * bool(key) for name, key in found.items()]
    return (
        f"{source} holds more than plain data, and loading it would run what it chooses: "
        f"{listed(things, most=5)}. Ask for a file with its state_dict alone; {TRUST_FLAG} loads "
        "it as it is, for those who would run any program of the one who made it."
    )


def _checked(loader: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(loader)  # MMEngine logs the name
    def load(filename: str, map_location: Any = None) -> Any:
        def plain(file: Any, map_location: Any = None, **_: Any) -> Any:
            return load_plain(file, map_location, source=filename)

        before = torch.load
        torch.load = plain  # type: ignore[assignment]
        try:
            with reading(filename):
                content = loader(filename, map_location)
        finally:
            torch.load = before
        demand_finite(_weights(content), source=filename)
        return content

    return load


def _weights(content: Any) -> dict[str, Tensor]:
    """The tensors of a checkpoint; what else may be wrong with it is told by those who use it."""
    state = content.get("state_dict", content) if isinstance(content, Mapping) else None
    items = state.items() if isinstance(state, Mapping) else ()
    return {name: value for name, value in items if isinstance(value, Tensor)}


@contextmanager
def _opened(file: Any) -> Iterator[BinaryIO]:
    if hasattr(file, "read"):
        yield file
        return
    with open(file, "rb") as stream:
        yield stream


@contextmanager
def _only_ours_allowed() -> Iterator[None]:
    """MMEngine's and others' lists are left out: OneDL's has ``getattr``, without a limit."""
    before = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals([(v, name) for name, v in mmengine_globals().items()])
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)
