"""The archives of data sets: files with a known MD5 digest."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from mmseg_deeplab_ext import download
from mmseg_deeplab_ext.errors import DatasetError

_CHUNK = 1 << 20


@dataclass(frozen=True)
class RemoteFile:
    """A file to fetch.

    Attributes:
        name: Its name on disk.
        url: Where it is.
        md5: Digest of its content, hexadecimal.
    """

    name: str
    url: str
    md5: str

    def find_fault(self, path: Path) -> str | None:
        """Say how a file differs from this one; None where it has the digest."""
        found = _md5(path)
        return None if found == self.md5 else f"has the MD5 digest {found} instead of {self.md5}"


def fetch(file: RemoteFile, folder: Path) -> Path:
    """Return a file's path, downloading it where it is not there yet.

    Args:
        file: What to fetch.
        folder: Where it is, or is to be put.

    Returns:
        The path; the content has the digest.

    Raises:
        DatasetError: The content has another digest, or the download failed.
    """
    remote = download.RemoteFile(
        name=file.name,
        url=file.url,
        find_fault=file.find_fault,
        unreachable=DatasetError,
        damaged=DatasetError,
    )
    return download.fetch(remote, folder)


def _md5(path: Path) -> str:
    digest = hashlib.md5()
    with path.open("rb") as stream:
        for chunk in iter(lambda: stream.read(_CHUNK), b""):
            digest.update(chunk)
    return digest.hexdigest()
