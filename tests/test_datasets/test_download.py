"""Archives of data sets: what the digest decides. Fetching as such: ``tests/test_download.py``."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Iterator

import pytest

from mmseg_deeplab_ext.datasets.download import md5_archive
from mmseg_deeplab_ext.download import RemoteFile, fetch
from mmseg_deeplab_ext.errors import DatasetError
from tests.support.file_server import FileServer, serve

CONTENT = b"an archive" * 1000


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serve() as running:
        running.files["big.tar"] = CONTENT
        yield running


def remote(server: FileServer, **changes: Any) -> RemoteFile:
    md5 = hashlib.md5(CONTENT).hexdigest()
    return md5_archive(**{"name": "big.tar", "url": server.url("big.tar"), "md5": md5, **changes})


def test_a_file_with_the_digest_is_taken(server: FileServer, tmp_path: Path) -> None:
    for _ in range(2):
        assert fetch(remote(server), tmp_path).read_bytes() == CONTENT
    assert len(server.requests) == 1


def test_a_wrong_digest_is_refused_and_leaves_nothing_behind(
    server: FileServer, tmp_path: Path
) -> None:
    digest = hashlib.md5(CONTENT).hexdigest()
    message = f"not big.tar, .* has the MD5 digest {digest} instead of {'0' * 32}"
    with pytest.raises(DatasetError, match=message):
        fetch(remote(server, md5="0" * 32), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_with_a_wrong_digest_is_left_alone(
    server: FileServer, tmp_path: Path
) -> None:
    (tmp_path / "big.tar").write_bytes(b"half")
    digest = hashlib.md5(b"half").hexdigest()
    with pytest.raises(DatasetError, match=f"big.tar has the MD5 digest {digest} instead of"):
        fetch(remote(server), tmp_path)
    assert (tmp_path / "big.tar").read_bytes() == b"half"


def test_an_address_that_does_not_exist_is_an_error(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="404.*put it into .* or give the address of a mirror"):
        fetch(remote(server, url=server.url("moved.tar")), tmp_path)
