"""Fetch large files: checked against their digest, resumed after an interruption."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmseg_deeplab_ext.datasets.progress import ProgressLine
from mmseg_deeplab_ext.errors import DatasetError, EnvironmentNotReadyError

_CHUNK = 1 << 20
_ATTEMPTS = 5
_TIMEOUT = 60
"""Seconds without a byte after which a connection counts as broken."""


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


def fetch(file: RemoteFile, folder: Path) -> Path:
    """Return a file's path, downloading it where it is not there yet.

    A download that breaks off goes on where it stopped, now and in the next call. A file that is
    there already is checked and never overwritten.

    Args:
        file: What to fetch.
        folder: Where it is, or is to be put.

    Returns:
        The path; the content has the digest.

    Raises:
        DatasetError: The content has another digest, or the download failed.
        EnvironmentNotReadyError: A download is needed and pooch is not installed.
    """
    path = folder / file.name
    if path.exists():
        found = _md5(path)
        if found != file.md5:
            raise DatasetError(
                f"{path} has the MD5 digest {found} instead of {file.md5}: it is incomplete or "
                "another file. It was left as it is; delete it or move it away, and run again."
            )
        return path
    _download(file, path)
    return path


def _md5(path: Path) -> str:
    digest = hashlib.md5()
    with path.open("rb") as stream:
        for chunk in iter(lambda: stream.read(_CHUNK), b""):
            digest.update(chunk)
    return digest.hexdigest()


def _download(file: RemoteFile, path: Path) -> None:
    try:
        import pooch
        import requests  # pooch needs it for HTTP
        import urllib3
    except ImportError as error:
        raise EnvironmentNotReadyError(
            f"{file.name} is not in {path.parent}, and downloading it needs {error.name}: "
            f'pip install "mmseg-deeplab-ext[data]". Or put the file there yourself: {file.url}'
        ) from error
    part = path.with_name(f"{file.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    pooch.get_logger().setLevel("WARNING")
    try:
        # pooch checks the digest, and renames the file or removes it.
        pooch.retrieve(
            file.url,
            known_hash=f"md5:{file.md5}",
            fname=path.name,
            path=path.parent,
            downloader=_ResumingDownloader(part),
        )
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        kept = f" What arrived is in {part}; the same command goes on from there." * part.exists()
        raise DatasetError(
            f"{file.url} could not be downloaded ({type(error).__name__}: {error}).{kept} "
            f"Or fetch {file.name} (MD5 {file.md5}) some other way, put it into {path.parent} and "
            "run again, or give the address of a mirror."
        ) from error
    except ValueError as error:
        raise DatasetError(
            f"what {file.url} serves is not {file.name} with the MD5 digest {file.md5}, or it was "
            f"damaged on the way ({error}). It was removed; run again, or give another address."
        ) from error


class _ResumingDownloader:
    """A downloader for pooch that collects the content in a file which outlives the program."""

    def __init__(self, part: Path) -> None:
        self._part = part

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:
        import requests
        import urllib3

        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._transfer(url)
                break
            except requests.HTTPError:
                raise
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                if attempt == _ATTEMPTS:
                    raise
                print(f"connection lost ({error}); going on", flush=True)
                time.sleep(attempt)
        os.replace(self._part, output_file)

    def _transfer(self, url: str) -> None:
        """Append what is missing to the partial file."""
        import requests

        have = self._part.stat().st_size if self._part.exists() else 0
        # "identity": some servers mark a .tgz as gzip-encoded, and it would arrive unpacked.
        headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                return  # All of it is there; the digest will tell.
            response.raise_for_status()
            if response.status_code != requests.codes.partial_content:
                have = 0
            total = have + int(response.headers.get("Content-Length", 0))
            progress = ProgressLine(f"downloading {url}", total=total // _CHUNK + 1, unit="MB")
            progress.advance(have // _CHUNK)
            with self._part.open("ab" if have else "wb") as stream:
                for chunk in response.raw.stream(_CHUNK, decode_content=False):
                    stream.write(chunk)
                    progress.advance()
        if self._part.stat().st_size < total:
            raise requests.ConnectionError(
                f"closed after {self._part.stat().st_size} of {total} bytes"
            )
