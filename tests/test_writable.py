"""What can't be written is named before the work starts."""

import tempfile

import pytest

from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.writable import check_output_folders, problems_of_files


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


def test_everything_in_the_way_of_a_file_is_named(tmp_path, monkeypatch):
    (tmp_path / "there").touch()
    paths = [tmp_path / "new", tmp_path / "there", tmp_path / "no" / "file", tmp_path]
    there, no_folder, folder = problems_of_files(paths, overwrite=False)
    assert there.startswith(f"{tmp_path / 'there'} exists already; --force overwrites it")
    assert no_folder.endswith(f"the folder {tmp_path / 'no'} does not exist; create it")
    assert folder == f"{tmp_path} is a folder, expected the name of a file"
    assert problems_of_files(paths[:2], overwrite=True) == []
    assert [path.name for path in tmp_path.iterdir()] == ["there"]

    def refuse(dir):
        raise OSError(30, "Read-only file system", dir)

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    (problem,) = problems_of_files(paths[:1], overwrite=True)
    assert problem.endswith(f"the folder {tmp_path} is not writable: Read-only file system")
