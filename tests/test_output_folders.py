"""Folders that can't be written into are named before the work starts."""

import tempfile

import pytest

from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.output_folders import check_output_folders


def test_good_folders_are_made_and_left_empty(tmp_path):
    folder = tmp_path / "a" / "b"
    check_output_folders({"--out": str(folder), "--work-dir": None, "--show-dir": str(tmp_path)})
    assert list(folder.iterdir()) == []


def test_all_bad_folders_are_named_together(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError) as caught:
        check_output_folders(
            {
                "--out": str(tmp_path / "file"),
                "--work-dir": str(tmp_path / "good"),
                "--show-dir": str(tmp_path / "file" / "below"),
            }
        )
    first, *lines = str(caught.value).splitlines()
    assert first.startswith("Results can't be written")
    assert [line.split()[0] for line in lines] == ["--out", "--show-dir"]


def test_a_folder_that_exists_but_takes_no_files_is_named(tmp_path, monkeypatch):
    def refuse(dir):
        raise OSError(28, "No space left on device", dir)

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(ConfigError, match=f"--out {tmp_path}: No space left on device"):
        check_output_folders({"--out": str(tmp_path)})
