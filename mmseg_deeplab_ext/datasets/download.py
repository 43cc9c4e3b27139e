"""The archives of data sets: files with a known MD5 digest."""

from __future__ import annotations

import hashlib
from pathlib import Path

from mmseg_deeplab_ext.download import RemoteFile
from mmseg_deeplab_ext.errors import DatasetError

_CHUNK = 1 << 20


def md5_archive(name: str, url: str, md5: str) -> RemoteFile:
    """A file to fetch that is the wanted one if it has this MD5 digest, hexadecimal."""

    def find_fault(path: Path) -> str | None:
        found = _md5(path)
        return None if found == md5 else f"has the MD5 digest {found} instead of {md5}"

    return RemoteFile(name, url, find_fault, unreachable=DatasetError, damaged=DatasetError)


def _md5(path: Path) -> str:
    digest = hashlib.md5()
    with path.open("rb") as stream:
        for chunk in iter(lambda: stream.read(_CHUNK), b""):
            digest.update(chunk)
    return digest.hexdigest()
