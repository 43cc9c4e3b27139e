"""Fetch large files: checked before they are used, resumed after an interruption.

Nothing but the standard library is needed, as for `torch.hub`, so whatever a user set up for that
(proxies, certificates) applies here as well.
"""

from __future__ import annotations

import errno
import http.client
import os
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Callable, Iterator

from mmseg_deeplab_ext.errors import DeepLabExtError
from mmseg_deeplab_ext.progress import ProgressLine

_CHUNK = 1 << 20
_ATTEMPTS = 5
_TIMEOUT = 60
"""Seconds without a byte after which a connection counts as broken."""

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""What file systems without locks answer, such as Lustre mounted without ``flock``."""


@dataclass(frozen=True)
class RemoteFile:
    """A file to fetch, and how to tell whether it arrived.

    Attributes:
        name: Its name on disk.
        url: Where it is, ``http://`` or ``https://``.
        find_fault: Reads a file and says what is wrong with it ("has the digest ..."); None where
            it is the wanted one.
        unreachable: Error to raise where a download fails.
        damaged: Error to raise where a file has a fault.
        mirror: How a user gives another address, as the end of a sentence.
    """

    name: str
    url: str
    find_fault: Callable[[Path], str | None]
    unreachable: type[DeepLabExtError]
    damaged: type[DeepLabExtError]
    mirror: str = "give the address of a mirror"


class _ConnectionLostError(Exception):
    """The network failed in a way that may pass."""


def fetch(file: RemoteFile, folder: Path) -> Path:
    """Return a file's path, downloading it where it is not there yet.

    A download goes to ``incomplete-<name>`` and gets its name only after `RemoteFile.find_fault`
    found nothing. One that breaks off goes on where it stopped, now and in the next call. Of
    several processes on one machine, one downloads and the others wait for it. A file that is
    there already is checked and never overwritten.

    Args:
        file: What to fetch.
        folder: Where it is, or is to be put.

    Returns:
        The path of a file without fault.

    Raises:
        DeepLabExtError: ``file.unreachable`` where the download failed, ``file.damaged`` where the
            file that is there or that arrived has a fault.
    """
    path = folder / file.name
    if path.exists():
        fault = file.find_fault(path)
        if fault:
            raise file.damaged(
                f"{path} {fault}: it is incomplete or another file. It was left as it is; delete "
                "it or move it away, and run again."
            )
        return path
    folder.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"incomplete-{file.name}")
    with _opened_alone(part) as stream:
        if path.exists():  # Another process fetched it while this one waited.
            part.unlink()
        else:
            _download(file, stream, part)
            os.replace(part, path)
    return path


@contextmanager
def _opened_alone(part: Path) -> Iterator[BinaryIO]:
    """Open a partial file for appending, after any other process is through with it."""
    while True:
        with part.open("ab") as stream:
            _lock(stream, part)
            # The one before may have renamed or removed what was opened here.
            if _is_still(part, stream):
                yield stream
                return


def _lock(stream: BinaryIO, part: Path) -> None:
    """Wait for the lock on a file; its end comes with the file's closing."""
    import fcntl  # absent on Windows, where everything but downloads works

    try:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"another process is writing {part}; waiting for it", file=sys.stderr, flush=True)
            fcntl.flock(stream, fcntl.LOCK_EX)
    except OSError as error:
        # Without locks two downloads at once would spoil each other, and the check would say so.
        if error.errno not in _NO_LOCKS:
            raise


def _is_still(part: Path, stream: BinaryIO) -> bool:
    try:
        return os.path.samestat(part.stat(), os.fstat(stream.fileno()))
    except FileNotFoundError:
        return False


def _download(file: RemoteFile, stream: BinaryIO, part: Path) -> None:
    """Complete a partial file and check it; one with a fault is removed."""
    try:
        _complete(file.url, stream)
    except (_ConnectionLostError, urllib.error.HTTPError, ValueError) as error:
        kept = f" What arrived is in {part}; the same command goes on from there."
        if not stream.tell():
            part.unlink()
            kept = ""
        raise file.unreachable(
            f"{file.url} could not be downloaded ({error}).{kept} Or bring it by hand: fetch "
            f"{file.name} from there on another machine, put it into {part.parent} and run again, "
            f"or {file.mirror}."
        ) from error
    fault = file.find_fault(part)
    if fault:
        part.unlink()
        raise file.damaged(
            f"what {file.url} serves is not {file.name}, or it was damaged on the way: it {fault}. "
            f"It was removed; run again, or {file.mirror}."
        )


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows what ``urlopen`` does, but not out of https, where anybody could change the file."""

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        """The request that follows."""
        if req.type == "https" and not newurl.startswith("https:"):
            raise ValueError(f"it redirects to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _complete(url: str, stream: BinaryIO) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            _transfer(url, stream)
            break
        except _ConnectionLostError as error:
            if attempt == _ATTEMPTS:
                raise
            print(f"connection lost ({error}); going on", file=sys.stderr, flush=True)
            time.sleep(attempt)
    stream.flush()
    os.fsync(stream.fileno())


def _transfer(url: str, stream: BinaryIO) -> None:
    """Append what is missing to the partial file."""
    have = stream.seek(0, os.SEEK_END)
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with _lost_connections():
            response = urllib.request.build_opener(_Redirects).open(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # All of it is there; the check will tell.
        raise
    with response:
        if response.status != http.client.PARTIAL_CONTENT:
            stream.truncate(0)
            have = stream.seek(0)
        total = have + int(response.headers.get("Content-Length", 0))
        progress = ProgressLine(f"downloading {url}", total=total // _CHUNK + 1, unit="MB")
        progress.reach(have // _CHUNK)
        for chunk in iter(lambda: _read(response), b""):
            stream.write(chunk)
            progress.advance()
    if stream.tell() < total:
        raise _ConnectionLostError(f"closed after {stream.tell()} of {total} bytes")


def _read(response: http.client.HTTPResponse) -> bytes:
    with _lost_connections():
        return response.read(_CHUNK)


@contextmanager
def _lost_connections() -> Iterator[None]:
    """Tell failures of the network, which may pass, from refusals and from failures of the disk."""
    try:
        yield
    except urllib.error.HTTPError:
        raise
    except (OSError, http.client.HTTPException) as error:
        raise _ConnectionLostError(f"{type(error).__name__}: {error}") from error
