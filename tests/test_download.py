"""Fetching files from a server that behaves, and from ones that do not."""

from __future__ import annotations

import errno
import http.client
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path
from typing import Any, Iterator

import numpy as np
import pytest

from mmseg_deeplab_ext import download
from mmseg_deeplab_ext.download import RemoteFile, fetch
from mmseg_deeplab_ext.errors import DeepLabExtError
from tests.support.file_server import FileServer, serve

REPO = Path(__file__).resolve().parents[1]
CONTENT = np.random.default_rng(0).bytes(3_000_000)

FETCH_IN_A_PROCESS = """
import sys
from pathlib import Path
from mmseg_deeplab_ext.download import RemoteFile, fetch
from mmseg_deeplab_ext.errors import DeepLabExtError as Error
url, folder = sys.argv[1:]
path = fetch(RemoteFile("big.tar", url, lambda path: None, Error, Error), Path(folder))
print(path.stat().st_size)
"""


class Unreachable(DeepLabExtError):
    pass


class Damaged(DeepLabExtError):
    pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
    with serve() as running:
        running.files["big.tar"] = CONTENT
        yield running


def find_fault(path: Path) -> str | None:
    return None if path.read_bytes() == CONTENT else "has other bytes"


def remote(server: FileServer, **changes: Any) -> RemoteFile:
    values = {"name": "big.tar", "url": server.url("big.tar"), "find_fault": find_fault}
    return RemoteFile(**{**values, "unreachable": Unreachable, "damaged": Damaged, **changes})


def names(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir()]


def test_a_file_is_downloaded_once_with_progress(
    server: FileServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        path = fetch(remote(server), tmp_path / "new")
        assert path.read_bytes() == CONTENT
    assert len(server.requests) == 1
    assert names(path.parent) == ["big.tar"]
    assert "100 %" in capfd.readouterr().err


def test_a_broken_connection_is_resumed(server: FileServer, tmp_path: Path) -> None:
    server.cut_after = [1_200_000, 700_000]
    assert fetch(remote(server), tmp_path).read_bytes() == CONTENT
    assert [asked for _, asked in server.requests] == [None, "bytes=1200000-", "bytes=1900000-"]


def test_a_download_goes_on_in_the_next_call(server: FileServer, tmp_path: Path) -> None:
    server.cut_after = [100_000] * 5
    message = r"incomplete-big\.tar; the same command goes on from there"
    with pytest.raises(Unreachable, match=message):
        fetch(remote(server), tmp_path)
    assert names(tmp_path) == ["incomplete-big.tar"]
    assert fetch(remote(server), tmp_path).read_bytes() == CONTENT
    assert server.requests[-1][1] == "bytes=500000-"
    assert names(tmp_path) == ["big.tar"]


def test_a_server_that_knows_no_parts_sends_the_whole_again(
    server: FileServer, tmp_path: Path
) -> None:
    server.ranges = False
    server.cut_after = [1_200_000]
    assert fetch(remote(server), tmp_path).read_bytes() == CONTENT


def test_a_part_that_is_the_whole_is_taken(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "incomplete-big.tar").write_bytes(CONTENT)
    assert fetch(remote(server), tmp_path).read_bytes() == CONTENT


def test_content_that_is_marked_as_packed_is_stored_as_it_is(
    server: FileServer, tmp_path: Path
) -> None:
    server.headers["Content-Encoding"] = "x-gzip"
    assert fetch(remote(server), tmp_path).read_bytes() == CONTENT


def test_what_arrives_with_a_fault_is_refused_and_leaves_nothing_behind(
    server: FileServer, tmp_path: Path
) -> None:
    server.files["big.tar"] = CONTENT[:-1] + b"?"
    with pytest.raises(Damaged, match=r"not big\.tar, .* it has other bytes\. It was removed"):
        fetch(remote(server), tmp_path)
    assert names(tmp_path) == []
    assert len(server.requests) == 1


def test_a_part_of_another_file_is_found_out(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "incomplete-big.tar").write_bytes(b"of yesterday")
    with pytest.raises(Damaged, match="It was removed; run again"):
        fetch(remote(server), tmp_path)
    assert fetch(remote(server), tmp_path).read_bytes() == CONTENT


def test_a_file_that_is_there_with_a_fault_is_left_alone(
    server: FileServer, tmp_path: Path
) -> None:
    (tmp_path / "big.tar").write_bytes(b"half")
    with pytest.raises(Damaged, match=r"big\.tar has other bytes: .* delete it or move it away"):
        fetch(remote(server), tmp_path)
    assert (tmp_path / "big.tar").read_bytes() == b"half"
    assert server.requests == []


def test_an_address_that_does_not_exist_is_not_tried_again(
    server: FileServer, tmp_path: Path
) -> None:
    with pytest.raises(Unreachable, match="404.*put it into .* or give the address of a mirror"):
        fetch(remote(server, url=server.url("moved.tar")), tmp_path)
    assert len(server.requests) == 1
    assert names(tmp_path) == []


def test_a_redirect_is_followed_but_not_from_https_to_http(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.redirects["moved.tar"] = server.url("big.tar")
    moved = server.url("moved.tar")
    assert fetch(remote(server, url=moved), tmp_path / "http").read_bytes() == CONTENT

    def without_certificate(handler: Any, request: Any) -> Any:
        return handler.do_open(http.client.HTTPConnection, request)

    monkeypatch.setattr(urllib.request.HTTPSHandler, "https_open", without_certificate)
    moved = moved.replace("http:", "https:")
    with pytest.raises(Unreachable, match=r"https:.* redirects to http:.*big\.tar, which is not"):
        fetch(remote(server, url=moved), tmp_path)
    server.redirects["moved.tar"] = server.url("big.tar").replace("http:", "https:")
    assert fetch(remote(server, url=moved), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/big.tar", "nonsense/big.tar"])
def test_an_address_without_a_server_is_named(tmp_path: Path, server: FileServer, url: str) -> None:
    with pytest.raises(Unreachable, match=f"{url} could not be downloaded"):
        fetch(remote(server, url=url), tmp_path)
    assert names(tmp_path) == []


def test_a_full_disk_is_no_lost_connection(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        fetch(remote(server), tmp_path)
    assert len(server.requests) == 1
    assert names(tmp_path) == ["incomplete-big.tar"]


def test_one_downloads_and_another_that_comes_later_waits_for_it(
    server: FileServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    checking, go_on = threading.Event(), threading.Event()

    def slow_check(path: Path) -> None:
        checking.set()
        go_on.wait(60)

    paths = []
    first, second = (
        threading.Thread(
            target=lambda file=file: paths.append(fetch(file, tmp_path)),
        )
        for file in (remote(server, find_fault=slow_check), remote(server))
    )
    first.start()
    assert checking.wait(60)
    second.start()
    second.join(0.2)
    assert second.is_alive()
    go_on.set()
    first.join(60)
    second.join(60)
    assert paths == [tmp_path / "big.tar"] * 2
    assert len(server.requests) == 1
    assert names(tmp_path) == ["big.tar"]
    assert "another process is writing" in capfd.readouterr().err


def test_processes_that_start_together_all_get_the_file(server: FileServer, tmp_path: Path) -> None:
    server.cut_after = [1_000_000]
    command = [sys.executable, "-c", FETCH_IN_A_PROCESS, server.url("big.tar"), str(tmp_path)]
    children = [subprocess.Popen(command, cwd=str(REPO), stdout=subprocess.PIPE) for _ in range(4)]
    assert [int(child.communicate(timeout=60)[0]) for child in children] == [len(CONTENT)] * 4
    assert [asked for _, asked in server.requests] == [None, "bytes=1000000-"]
    assert (tmp_path / "big.tar").read_bytes() == CONTENT
    assert names(tmp_path) == ["big.tar"]


def test_a_file_system_without_locks_is_no_obstacle(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(stream: Any, operation: int) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", no_locks)
    assert fetch(remote(server), tmp_path).read_bytes() == CONTENT
