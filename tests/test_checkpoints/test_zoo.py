"""Fetching from the model zoo, stood in for by a server on loopback; its table; its command."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Iterator

import numpy as np
import pytest

from mmseg_deeplab_ext import download
from mmseg_deeplab_ext.__main__ import main
from mmseg_deeplab_ext.checkpoints import open_checkpoint
from mmseg_deeplab_ext.checkpoints.writer import write_checkpoint
from mmseg_deeplab_ext.checkpoints.zoo import URL_PREFIX, URL_VARIABLE, fetch, open_entry
from mmseg_deeplab_ext.checkpoints.zoo_table import ZOO, find_entry
from mmseg_deeplab_ext.errors import (
    CheckpointError,
    CheckpointFormatError,
    CheckpointNotFoundError,
)
from tests.support.file_server import FileServer, serve
from tests.support.processes import run_command, run_python
from tests.support.tf_files import packed

REPO = Path(__file__).resolve().parents[2]
NAME = "resnet_v1_101_beta_imagenet"
ARCHIVE = "resnet_v1_101_2018_05_04.tar.gz"
TENSORS = {
    "resnet_v1_101/conv1_1/weights": np.random.default_rng(0).normal(size=(3, 3, 3, 64)),
    "resnet_v1_101/conv1_1/BatchNorm/gamma": np.linspace(0.5, 1.5, 64, dtype=np.float32),
    "global_step": np.array(600_000, dtype=np.int64),
}

FETCH_IN_A_PROCESS = """
import sys
from pathlib import Path
from mmseg_deeplab_ext.checkpoints.zoo import fetch
print(fetch(sys.argv[1], folder=Path(sys.argv[2])))
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An archive in the layout of the published ones; segmentation models add a frozen graph."""
    folder = tmp_path_factory.mktemp("zoo") / "resnet_v1_101"
    folder.mkdir()
    write_checkpoint(folder / "model.ckpt", TENSORS)
    graph = np.random.default_rng(1).bytes(200_000)
    (folder / "frozen_inference_graph.pb").write_bytes(graph)
    return packed(folder)


@pytest.fixture
def server(archive: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
    with serve() as running:
        running.files[ARCHIVE] = archive
        monkeypatch.setenv(URL_VARIABLE, running.url(""))
        yield running


def names(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir()]


def test_an_entry_is_downloaded_once_and_opens(server: FileServer, tmp_path: Path) -> None:
    for _ in range(2):
        path = fetch(f"tf-zoo://{NAME}", folder=tmp_path)
        assert path == tmp_path / ARCHIVE
        with open_checkpoint(path) as checkpoint:
            assert set(checkpoint) == set(TENSORS)
            for name, value in TENSORS.items():
                np.testing.assert_array_equal(checkpoint[name], value)
    assert server.requests == [(ARCHIVE, None)]
    assert names(tmp_path) == [ARCHIVE]


def test_an_entry_opens_by_its_name(server: FileServer, tmp_path: Path) -> None:
    with open_entry(NAME, folder=tmp_path) as checkpoint:
        assert checkpoint["global_step"] == 600_000
    assert names(tmp_path) == [ARCHIVE]


def test_the_cache_is_pytorchs(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    assert fetch(NAME) == tmp_path / "hub" / "checkpoints" / ARCHIVE


def test_without_a_mirror_the_official_address_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    monkeypatch.setattr(download, "fetch", lambda file, folder: asked.append(file.url))
    fetch(NAME, folder=tmp_path)
    assert asked == [f"{URL_PREFIX}{ARCHIVE}"]
    assert asked == [f"https://download.tensorflow.org/models/{ARCHIVE}"]


def test_a_broken_connection_is_resumed(server: FileServer, archive: bytes, tmp_path: Path) -> None:
    server.cut_after = [90_000, 50_000]
    assert fetch(NAME, folder=tmp_path).read_bytes() == archive
    assert [asked for _, asked in server.requests] == [None, "bytes=90000-", "bytes=140000-"]


def test_a_download_that_breaks_off_is_kept_apart_and_goes_on_in_the_next_call(
    server: FileServer, archive: bytes, tmp_path: Path
) -> None:
    server.cut_after = [20_000] * 5
    with pytest.raises(CheckpointNotFoundError, match="could not be downloaded .*goes on from"):
        fetch(NAME, folder=tmp_path)
    assert names(tmp_path) == [f"incomplete-{ARCHIVE}"]
    assert fetch(NAME, folder=tmp_path).read_bytes() == archive
    assert server.requests[-1] == (ARCHIVE, "bytes=100000-")


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda content: content[:-70_000], id="cut off"),
        pytest.param(lambda content: content[:-4], id="without its last four bytes"),
        pytest.param(lambda content: flipped(content, 500), id="a flipped byte early"),
        pytest.param(lambda content: flipped(content, -1000), id="a flipped byte late"),
        pytest.param(lambda content: b"<html>Please log in</html>", id="a web page"),
        pytest.param(lambda content: b"", id="nothing"),
    ],
)
def test_a_damaged_archive_is_refused_and_leaves_nothing_behind(
    server: FileServer, archive: bytes, tmp_path: Path, damage
) -> None:
    server.files[ARCHIVE] = damage(archive)
    with pytest.raises(CheckpointError, match=f"{ARCHIVE}.*run again, or .*{URL_VARIABLE}"):
        fetch(NAME, folder=tmp_path)
    assert names(tmp_path) == []
    server.files[ARCHIVE] = archive
    assert fetch(NAME, folder=tmp_path).read_bytes() == archive


def flipped(content: bytes, position: int) -> bytes:
    changed = bytearray(content)
    changed[position] ^= 1
    return bytes(changed)


def test_damage_that_gzip_can_not_see_is_found_by_the_tensors_checksums(
    server: FileServer, tmp_path: Path
) -> None:
    """As when a file was damaged before it was packed."""
    folder = tmp_path / "resnet_v1_101"
    folder.mkdir()
    write_checkpoint(folder / "model.ckpt", TENSORS)
    data = folder / "model.ckpt.data-00000-of-00001"
    data.write_bytes(flipped(data.read_bytes(), 100))
    server.files[ARCHIVE] = packed(folder)
    with pytest.raises(CheckpointFormatError, match="no sound checkpoint .*checksum"):
        fetch(NAME, folder=tmp_path / "cache")
    assert names(tmp_path / "cache") == []


def test_an_archive_without_a_checkpoint_is_refused(server: FileServer, tmp_path: Path) -> None:
    folder = tmp_path / "resnet_v1_101"
    folder.mkdir()
    (folder / "README").write_text("moved")
    server.files[ARCHIVE] = packed(folder)
    with pytest.raises(CheckpointFormatError, match="no sound checkpoint"):
        fetch(NAME, folder=tmp_path / "cache")


def test_an_archive_that_the_server_does_not_have_is_named(
    server: FileServer, tmp_path: Path
) -> None:
    del server.files[ARCHIVE]
    message = f"{server.url(ARCHIVE)} .*404.*put it into {tmp_path} and run again"
    with pytest.raises(CheckpointNotFoundError, match=message):
        fetch(NAME, folder=tmp_path)
    assert len(server.requests) == 1


def test_a_download_that_fails_says_how_to_bring_the_file_by_hand(
    server: FileServer, tmp_path: Path
) -> None:
    server.files.clear()
    with pytest.raises(CheckpointNotFoundError) as caught:
        fetch(NAME, folder=tmp_path)
    assert server.url(ARCHIVE) in str(caught.value)
    assert f"fetch {ARCHIVE} from there on another machine, put it into {tmp_path}" in str(
        caught.value
    )
    assert f"in place of tf-zoo://{NAME} (tf:///FOLDER/{ARCHIVE})" in str(caught.value)


def test_a_server_that_is_gone_is_named(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URL_VARIABLE, "http://127.0.0.1:1/models")
    message = f"http://127.0.0.1:1/models/{ARCHIVE} could not be downloaded"
    with pytest.raises(CheckpointNotFoundError, match=message):
        fetch(NAME, folder=tmp_path)


def test_two_processes_at_once_share_one_download(
    server: FileServer, archive: bytes, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", FETCH_IN_A_PROCESS, NAME, str(tmp_path)]
    children = [
        subprocess.Popen(command, cwd=str(REPO), stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for child in children:
        assert child.communicate(timeout=120)[0].strip() == str(tmp_path / ARCHIVE)
    assert server.requests == [(ARCHIVE, None)]
    assert (tmp_path / ARCHIVE).read_bytes() == archive
    assert names(tmp_path) == [ARCHIVE]


def test_a_damaged_archive_in_the_cache_is_named_and_left_alone(
    server: FileServer, archive: bytes, tmp_path: Path
) -> None:
    path = tmp_path / ARCHIVE
    path.write_bytes(archive[:5000])
    with pytest.raises(CheckpointError, match=f"{path} in the cache is damaged .* Delete it"):
        open_entry(NAME, folder=tmp_path)
    with pytest.raises(CheckpointFormatError, match=f"{path} .*delete it or move it away"):
        fetch(NAME, folder=tmp_path, recheck=True)
    assert path.read_bytes() == archive[:5000]
    assert server.requests == []


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_cache_folder_that_can_not_be_used_is_named(
    server: FileServer, tmp_path: Path, place: str
) -> None:
    (tmp_path / "file").write_text("mine")
    folder = tmp_path / place
    with pytest.raises(CheckpointError, match=f"{folder} can't be used .*TORCH_HOME"):
        open_entry(NAME, folder=folder)
    assert main(["zoo", NAME, "--folder", str(folder)]) == 1


def test_a_cache_folder_that_may_not_be_written_is_named(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, *args: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(CheckpointError, match=f"{tmp_path} can't be used .*TORCH_HOME"):
        fetch(NAME, folder=tmp_path)


def test_an_unknown_name_lists_near_ones(tmp_path: Path) -> None:
    message = (
        "named 'resnet_v1_101_imagenet'.*Did you mean resnet_v1_101_beta_imagenet .*zoo` lists"
    )
    with pytest.raises(CheckpointNotFoundError, match=message):
        fetch("tf-zoo://resnet_v1_101_imagenet", folder=tmp_path)
    with pytest.raises(CheckpointNotFoundError, match=r"named 'qqq'\. `python -m .* lists all"):
        fetch("qqq", folder=tmp_path)


def test_every_entry_has_a_name_and_a_file_of_its_own() -> None:
    assert len(ZOO) == 24
    assert len({entry.name for entry in ZOO}) == len({entry.file for entry in ZOO}) == len(ZOO)
    assert all(find_entry(entry.name) is entry for entry in ZOO)


def test_the_command_lists_every_entry_in_aligned_columns(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["zoo"]) == 0
    lines = capsys.readouterr().out.splitlines()
    heading, rows = lines[0], lines[1 : 1 + len(ZOO)]
    column = heading.index("archive")
    assert [row.split()[0] for row in rows] == [entry.name for entry in ZOO]
    assert [row[column:] for row in rows] == [entry.size for entry in ZOO]
    assert max(map(len, rows)) < 160
    assert any("tf-zoo://NAME" in line for line in lines[1 + len(ZOO) :])


def test_the_command_downloads_one_and_prints_its_path_alone(
    server: FileServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert main(["zoo", NAME, "--folder", str(tmp_path)]) == 0
        assert capsys.readouterr().out.splitlines() == [str(tmp_path / ARCHIVE)]
    assert len(server.requests) == 1


def test_the_command_says_what_is_wrong_without_a_traceback(
    server: FileServer, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "mmseg_deeplab_ext", "zoo"]
    (tmp_path / ARCHIVE).write_bytes(b"half")
    done = run_command(*command, NAME, "--folder", tmp_path, cwd=REPO, code=1)
    assert done.stderr.startswith(f"error: {tmp_path / ARCHIVE} holds no sound checkpoint")


def test_a_folder_without_a_name_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["zoo", "--folder", str(tmp_path)])
    assert "--folder needs the NAME of a checkpoint to download" in capsys.readouterr().err


def test_a_reader_that_has_seen_enough_of_the_list_is_no_error() -> None:
    """As `... zoo | head -1`, whose end of the pipe is closed early."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "mmseg_deeplab_ext", "zoo"]
    with os.fdopen(writer, "wb") as closed:
        done = subprocess.run(
            command, cwd=str(REPO), stdout=closed, stderr=subprocess.PIPE, text=True, timeout=60
        )
    assert done.stderr == ""


def test_neither_the_module_nor_the_list_loads_pytorch(tmp_path: Path) -> None:
    run_python(
        """
        import sys
        import mmseg_deeplab_ext.checkpoints.zoo
        from mmseg_deeplab_ext.__main__ import main
        main(["zoo"])
        assert not {"torch", "mmengine", "mmcv", "mmseg"} & set(sys.modules)
        """,
        cwd=REPO,
    )


def test_the_page_shows_the_table() -> None:
    page = (REPO / "docs" / "checkpoints.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| `.*\.tar\.gz.*\|$", page, re.MULTILINE)
    expected = [
        "| "
        + " | ".join(
            [
                f"`{entry.name}`",
                entry.network,
                entry.data,
                "; ".join(entry.published),
                f"[{entry.size or 'archive'}]({URL_PREFIX}{entry.archive})",
            ]
        )
        + " |"
        for entry in ZOO
    ]
    assert found == expected, "the table should be:\n" + "\n".join(expected)
