"""Fetching files from a server that behaves, and from ones that do not."""

from __future__ import annotations

import builtins
import hashlib
from pathlib import Path
from typing import Any, Iterator

import numpy as np
import pytest

from mmseg_deeplab_ext.datasets import download
from mmseg_deeplab_ext.datasets.download import RemoteFile, fetch
from mmseg_deeplab_ext.errors import DatasetError, EnvironmentNotReadyError
from tests.support.file_server import FileServer, serve

CONTENT = np.random.default_rng(0).bytes(3_000_000)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    pytest.importorskip("pooch")
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
    with serve() as running:
        running.files["big.tar"] = CONTENT
        yield running


def remote(server: FileServer, **changes: Any) -> RemoteFile:
    md5 = hashlib.md5(CONTENT).hexdigest()
    return RemoteFile(**{"name": "big.tar", "url": server.url("big.tar"), "md5": md5, **changes})


def test_a_file_is_downloaded_once_with_progress(
    server: FileServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        path = fetch(remote(server), tmp_path / "new")
        assert path.read_bytes() == CONTENT
    assert len(server.requests) == 1
    assert [entry.name for entry in path.parent.iterdir()] == ["big.tar"]
    assert "100 %" in capfd.readouterr().err


def test_a_broken_connection_is_resumed(server: FileServer, tmp_path: Path) -> None:
    server.cut_after = [1_200_000, 700_000]
    assert fetch(remote(server), tmp_path).read_bytes() == CONTENT
    assert [asked for _, asked in server.requests] == [None, "bytes=1200000-", "bytes=1900000-"]


def test_a_download_goes_on_in_the_next_call(server: FileServer, tmp_path: Path) -> None:
    server.cut_after = [100_000] * 5
    with pytest.raises(DatasetError, match=r"big\.tar\.part; the same command goes on from there"):
        fetch(remote(server), tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["big.tar.part"]
    assert fetch(remote(server), tmp_path).read_bytes() == CONTENT
    assert server.requests[-1][1] == "bytes=500000-"


def test_a_server_that_knows_no_parts_sends_the_whole_again(
    server: FileServer, tmp_path: Path
) -> None:
    server.ranges = False
    server.cut_after = [1_200_000]
    assert fetch(remote(server), tmp_path).read_bytes() == CONTENT


def test_a_part_that_is_the_whole_is_taken(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "big.tar.part").write_bytes(CONTENT)
    assert fetch(remote(server), tmp_path).read_bytes() == CONTENT


def test_content_that_is_marked_as_packed_is_stored_as_it_is(
    server: FileServer, tmp_path: Path
) -> None:
    server.headers["Content-Encoding"] = "x-gzip"
    assert fetch(remote(server), tmp_path).read_bytes() == CONTENT


def test_a_wrong_digest_is_refused_and_leaves_nothing_behind(
    server: FileServer, tmp_path: Path
) -> None:
    with pytest.raises(DatasetError, match=f"not big.tar with the MD5 digest {'0' * 32}"):
        fetch(remote(server, md5="0" * 32), tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert len(server.requests) == 1


def test_a_file_that_is_there_with_a_wrong_digest_is_left_alone(
    server: FileServer, tmp_path: Path
) -> None:
    (tmp_path / "big.tar").write_bytes(b"half")
    digest = hashlib.md5(b"half").hexdigest()
    with pytest.raises(DatasetError, match=f"big.tar has the MD5 digest {digest} instead of"):
        fetch(remote(server), tmp_path)
    assert (tmp_path / "big.tar").read_bytes() == b"half"
    assert server.requests == []


def test_an_address_that_does_not_exist_is_not_tried_again(
    server: FileServer, tmp_path: Path
) -> None:
    with pytest.raises(DatasetError, match="404.*put it into .* or give the address of a mirror"):
        fetch(remote(server, url=server.url("moved.tar")), tmp_path)
    assert len(server.requests) == 1


def test_a_server_that_does_not_answer_is_named(tmp_path: Path, server: FileServer) -> None:
    with pytest.raises(DatasetError, match=r"http://127\.0\.0\.1:1/big.tar could not be"):
        fetch(remote(server, url="http://127.0.0.1:1/big.tar"), tmp_path)


def test_without_pooch_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = builtins.__import__

    def without_pooch(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "pooch":
            raise ImportError("No module named 'pooch'", name="pooch")
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_pooch)
    file = RemoteFile(name="big.tar", url="http://nowhere/big.tar", md5="0" * 32)
    with pytest.raises(EnvironmentNotReadyError) as caught:
        fetch(file, tmp_path)
    assert 'pip install "mmseg-deeplab-ext[data]"' in str(caught.value)
    assert "http://nowhere/big.tar" in str(caught.value)
