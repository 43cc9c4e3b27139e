"""Archives of the model zoo: unpacking the checkpoint in a ``.tar.gz``, and nothing else.

Whoever made the archive decides what is in it, so: only regular files that look like a part of a
checkpoint, or like a frozen graph where there is no checkpoint, are written, under names inside a
temporary folder of our own.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import tarfile
import tempfile
import zlib
from typing import Callable

from mmseg_deeplab_ext.errors import (
    CheckpointChecksumError,
    CheckpointError,
    CheckpointFormatError,
    CheckpointNotFoundError,
)
from mmseg_deeplab_ext.wording import listed

# The files of V2 and V1 checkpoints, and the one that says which is the newest.
_WANTED = re.compile(
    r"(.+\.index|.+\.data-\d{5}-of-\d{5}|checkpoint|.+\.ckpt(-\d+)?(-\d{5}-of-\d{5})?)$"
)
_GRAPH = re.compile(r".+\.pb$")
# Characters that file systems give a meaning to.
_FORBIDDEN = re.compile(r'[\\:*?"<>|\x00-\x1f]')
_LONGEST_NAME = 200
_CHUNK = 1 << 20
# Those of the zoo have a handful.
_MOST_MEMBERS = 10_000
# What tarfile lets through when headers are malformed, besides its own errors.
_MALFORMED = (tarfile.TarError, EOFError, ValueError, IndexError, OverflowError, RecursionError)


def is_hidden(name: str) -> bool:
    """Whether a file is hidden: those that macOS adds (``._*``) are named like the real ones."""
    return name.startswith(".")


def is_graph(name: str) -> bool:
    """Whether a file is named as a frozen graph is; that of a SavedModel holds no values."""
    return bool(_GRAPH.fullmatch(name)) and not is_hidden(name) and name != "saved_model.pb"


def unpack(path: str) -> tempfile.TemporaryDirectory[str]:
    """Unpack the parts of checkpoints in an archive, or else its frozen graphs, temporarily.

    The whole archive is read, so that gzip's checksum covers every byte.

    Args:
        path: the archive.

    Returns:
        The folder; whoever calls removes it.
    """
    folder = tempfile.TemporaryDirectory(prefix="checkpoint-")
    try:
        names, found = _unpack_into(folder.name, path, _is_part)
        if not found and any(is_graph(os.path.basename(name)) for name in names):
            names, found = _unpack_into(folder.name, path, is_graph)
        if not found:
            raise CheckpointNotFoundError(
                f"{path}: the archive has neither a checkpoint nor a frozen graph. It holds no "
                f"files that look like one; its members are: {listed(names, most=20) or 'none'}"
            )
    except BaseException:
        folder.cleanup()
        raise
    return folder


def _is_part(name: str) -> bool:
    return bool(_WANTED.fullmatch(name)) and not is_hidden(name)


def _unpack_into(folder: str, path: str, is_wanted: Callable[[str], bool]) -> tuple[list[str], int]:
    """Names of the members, and how many of them were written."""
    try:
        with open(path, "rb") as file, gzip.GzipFile(fileobj=file, mode="rb") as plain:
            source = _ForwardReader(plain)
            with tarfile.open(fileobj=source, mode="r:") as tar:  # type: ignore[call-overload]
                result = _unpack_members(folder, tar, is_wanted)
            source.drain()
            return result
    except gzip.BadGzipFile as error:
        raise CheckpointChecksumError(f"{path}: {error}; get the archive again") from error
    except zlib.error as error:
        raise CheckpointChecksumError(f"{path}: damaged: {error}; get it again") from error
    except CheckpointError as error:
        raise type(error)(f"{path}: {error}") from error
    except OSError as error:
        raise CheckpointFormatError(f"{path}: the archive can't be unpacked: {error}") from error
    except _MALFORMED as error:
        raise CheckpointFormatError(
            f"{path}: the archive is cut off or malformed ({type(error).__name__}: {error}); get "
            "it again"
        ) from error


def _unpack_members(
    folder: str, tar: tarfile.TarFile, is_wanted: Callable[[str], bool]
) -> tuple[list[str], int]:
    names: list[str] = []
    written = set()
    for member in tar:
        names.append(member.name)
        if len(names) > _MOST_MEMBERS:
            raise CheckpointFormatError(
                f"the archive has more than {_MOST_MEMBERS} members; unpack it, and give the path "
                "of the checkpoint"
            )
        name = os.path.basename(member.name)
        if member.isdir() or not is_wanted(name):
            continue
        target = os.path.join(folder, *_safe_parts(member))
        if target in written:
            raise CheckpointFormatError(f"the member {member.name!r} is there twice")
        written.add(target)
        _write(tar, member, target)
    return names, len(written)


def _safe_parts(member: tarfile.TarInfo) -> list[str]:
    """The parts of a member's path, none of which leads anywhere but down."""
    if not member.isreg() or member.issparse():
        raise CheckpointFormatError(
            f"the member {member.name!r} should be a regular file, and is a link, a sparse file or "
            "something else"
        )
    parts = [part for part in member.name.split("/") if part != "."]
    if any(part in ("", "..") or len(part) > _LONGEST_NAME for part in parts) or any(
        map(_FORBIDDEN.search, parts)
    ):
        raise CheckpointFormatError(
            f"the name of the member {member.name!r} leads outside the archive, or is no name for "
            "a file everywhere"
        )
    return parts


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, target: str) -> None:
    os.makedirs(os.path.dirname(target), exist_ok=True)
    source = tar.extractfile(member)
    if source is None:
        raise CheckpointFormatError(f"the member {member.name!r} can't be read")
    with source, open(target, "xb") as file:
        shutil.copyfileobj(source, file, _CHUNK)
        if file.tell() != member.size:
            raise CheckpointFormatError(
                f"the member {member.name!r} should have {member.size} bytes, and has {file.tell()}"
            )


class _ForwardReader:
    """Reads decompressed data in order and in pieces.

    Going back would decompress from the start again, and only malformed archives lead there (or
    in circles). What they claim as the length of a header is not taken as a size of memory.
    """

    def __init__(self, source: gzip.GzipFile) -> None:
        self._source = source

    def tell(self) -> int:
        return self._source.tell()

    def seek(self, position: int) -> int:
        if position < self._source.tell():
            raise CheckpointFormatError(
                f"a header of the archive leads back from {self._source.tell()} to {position}"
            )
        return self._source.seek(position)

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _CHUNK:
            raise CheckpointFormatError(
                f"a header of the archive has {size} bytes; at most {_CHUNK} are supported"
            )
        return self._source.read(size)

    def drain(self) -> None:
        """Read to the end, where gzip's checksum is."""
        while self._source.read(_CHUNK):
            pass
