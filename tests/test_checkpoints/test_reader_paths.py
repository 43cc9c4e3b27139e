"""What a path may be, and what is said about a path that is none of it."""

import os
import shutil

import pytest

from mmseg_deeplab_ext.checkpoints import open_checkpoint
from mmseg_deeplab_ext.errors import CheckpointFormatError, CheckpointNotFoundError
from tests.support.checkpoint_files import FIXTURES, assert_same, copy_fixture, expected, files_of

STEP = "global_step"


def step_of(path):
    with open_checkpoint(path) as checkpoint:
        return int(checkpoint[STEP])


@pytest.mark.parametrize(
    "name",
    [
        *("v2", "v2.index", "v2.data-00000-of-00001"),
        *("v2_sharded", "v2_sharded.index", "v2_sharded.data-00001-of-00003"),
        *("v1.ckpt", "v1_sharded", "v1_sharded-00001-of-00002"),
    ],
)
def test_a_prefix_and_any_of_its_files_lead_to_the_checkpoint(name):
    assert step_of(FIXTURES / name) == 30000
    assert step_of(str(FIXTURES / name)) == 30000


def test_home_relative_and_bytes_paths_work(tmp_path, monkeypatch):
    copy_fixture("v2", tmp_path)
    copy_fixture("v1_sharded", tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for path in ("~/v2", "v2", "./v2.index", "v1_sharded", b"v2"):
        assert step_of(path) == 30000


def test_v2_goes_before_v1_as_in_tensorflow(tmp_path):
    prefix = copy_fixture("v2", tmp_path)
    shutil.copy(FIXTURES / "v1.ckpt", prefix)
    with open_checkpoint(prefix) as checkpoint:
        assert checkpoint.format == "V2"


def folder_with(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        for path in files_of("v2"):
            shutil.copy(path, folder / path.name.replace("v2", name))
    return folder


@pytest.mark.parametrize(
    "line",
    [
        'model_checkpoint_path: "model.ckpt-20"',
        "model_checkpoint_path: 'model.ckpt-20'",
        '  model_checkpoint_path  :"model.ckpt-20"  ',
        r'model_checkpoint_path: "model.c\153pt-\x32\60"',
        'all_model_checkpoint_paths: "model.ckpt-3"\nmodel_checkpoint_path: "model.ckpt-20"',
        'model_checkpoint_path: "/gone/train_logs/model.ckpt-20"',
        'model_checkpoint_path: "{folder}/model.ckpt-20"',
        r'model_checkpoint_path: "C:\\work\\train logs\\model.ckpt-20"',
        r'model_checkpoint_path: "C:\work\train\model.ckpt-20"',
        r'model_checkpoint_path: "\\\\server\\share\\model.ckpt-20"',
        'model_checkpoint_path: "C:/models/train/model.ckpt-20"',
        'model_checkpoint_path: "C:model.ckpt-20"',
        '\ufeffmodel_checkpoint_path: "../model.ckpt-20"\r\nall_model_checkpoint_paths: "x"\r\n',
        'model_checkpoint_path: "../other/model.ckpt-20"',
        'model_checkpoint_path: "{folder}/../other/model.ckpt-20"',
    ],
)
def test_the_state_file_of_a_folder_names_the_newest(tmp_path, line):
    folder = folder_with(tmp_path / "logs", "model.ckpt-3", "model.ckpt-20")
    folder_with(tmp_path / "other", "model.ckpt-20")
    text = line.replace("{folder}", str(folder))
    (folder / "checkpoint").write_bytes(text.encode("utf-8"))
    for path in (folder, folder / "checkpoint"):
        with open_checkpoint(path) as checkpoint:
            assert checkpoint.path == str(folder / "model.ckpt-20")


@pytest.mark.parametrize("name", ["../other/model.ckpt-5", "{folder}/../other/model.ckpt-5"])
def test_a_state_file_opens_nothing_outside_its_folder(tmp_path, name):
    folder = folder_with(tmp_path / "logs", "model.ckpt-3")
    folder_with(tmp_path / "other", "model.ckpt-5")
    name = name.replace("{folder}", str(folder))
    (folder / "checkpoint").write_text(f'model_checkpoint_path: "{name}"')
    with pytest.raises(CheckpointNotFoundError, match=r"model\.ckpt-5'.*are: \S*model\.ckpt-3$"):
        open_checkpoint(folder)


def test_escapes_and_names_that_are_not_ascii(tmp_path):
    folder = folder_with(tmp_path / "logs", 'a"b\\c', "m\u00f6del", "8")
    for escaped, name in (
        (r"a\"b\\c", 'a"b\\c'),
        (r"m\303\266del", "m\u00f6del"),
        ("m\u00f6del", "m\u00f6del"),
        (r"\8", "8"),
    ):
        (folder / "checkpoint").write_text(f'model_checkpoint_path: "{escaped}"', encoding="utf-8")
        with open_checkpoint(folder) as checkpoint:
            assert checkpoint.path == str(folder / name)


def test_a_state_file_that_names_what_is_not_there_is_an_error_that_lists_the_others(tmp_path):
    folder = folder_with(tmp_path / "logs", "model.ckpt-3")
    (folder / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-20"')
    with pytest.raises(CheckpointNotFoundError, match=r"'model.ckpt-20'.*are: \S*model.ckpt-3$"):
        open_checkpoint(folder)


@pytest.mark.parametrize(
    "content", ["", "\0" * 50, 'model_checkpoint_path: "a', "model: 3", '""', "\n" * 900_000]
)
def test_a_state_file_that_names_nothing_is_an_error(tmp_path, content):
    folder = folder_with(tmp_path / "logs", "model.ckpt-3")
    (folder / "checkpoint").write_text(content)
    with pytest.raises(CheckpointFormatError, match="model_checkpoint_path"):
        open_checkpoint(folder)


def test_a_state_file_with_an_impossible_path_is_an_error(tmp_path):
    folder = folder_with(tmp_path / "logs", "model.ckpt-3")
    for name in (r"a\0b", ""):
        (folder / "checkpoint").write_text(f'model_checkpoint_path: "{name}"')
        with pytest.raises(CheckpointFormatError, match="no path"):
            open_checkpoint(folder)


@pytest.mark.parametrize("name", ["v2", "v2_sharded", "v1.ckpt", "v1_sharded"])
def test_a_folder_with_exactly_one_checkpoint_leads_to_it(tmp_path, name):
    copy_fixture(name, tmp_path)
    (tmp_path / "events.out.tfevents").write_bytes(b"x" * 100)
    (tmp_path / "model.ckpt.meta").write_bytes(b"\x0a")
    assert step_of(tmp_path) == 30000


@pytest.mark.parametrize("name", ["v2", "v1.ckpt"])
def test_hidden_files_beside_a_checkpoint_are_passed_over(tmp_path, name):
    copy_fixture(name, tmp_path)
    for path in files_of(name):
        (tmp_path / f"._{path.name}").write_bytes(b"\0\5\x16\7")  # as macOS does
        shutil.copy(path, tmp_path / f".{path.name}")
    assert step_of(tmp_path) == 30000


def test_a_folder_with_several_checkpoints_is_an_error_that_lists_them(tmp_path):
    folder = folder_with(tmp_path / "logs", "model.ckpt-3", "model.ckpt-20")
    with pytest.raises(CheckpointNotFoundError, match="holds 2 .*model.ckpt-20, .*model.ckpt-3"):
        open_checkpoint(folder)


def test_a_folder_without_a_checkpoint_is_an_error_that_says_what_it_holds(tmp_path):
    with pytest.raises(CheckpointNotFoundError, match="it holds nothing"):
        open_checkpoint(tmp_path)
    for number in range(12):
        (tmp_path / f"file_{number:02d}").write_text("x")
    with pytest.raises(CheckpointNotFoundError, match=r"file_00, .* file_09 and 2 more$"):
        open_checkpoint(tmp_path)


def test_the_folder_of_a_saved_model_leads_to_its_variables(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"\x08\x01\x12\x00")
    folder_with(tmp_path / "variables", "variables")
    assert step_of(tmp_path) == 30000
    assert step_of(tmp_path / "variables") == 30000


LOOKALIKES = {
    "model.pth": (b"PK\x03\x04" + b"\0" * 60, "ZIP file .what torch.save"),
    "old.pth": (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19", "pickle .what old versions"),
    "weights.h5": (b"\x89HDF\r\n\x1a\n" + b"\0" * 60, "HDF5 file .Keras"),
    "frozen_inference_graph.pb": (b"\x0a\x10" + b"x" * 60, "frozen graph"),
    "saved_model.pb": (b"\x08\x01\x12\x10" + b"x" * 60, "SavedModel; give the folder"),
    "model.ckpt.meta": (b"\x0a\x10" + b"x" * 60, "graph beside a checkpoint"),
    "page.ckpt": (b"<!doctype html>" + b"x" * 60, "web page"),
    "pointer.ckpt": (b"version https://git-lfs.github.com/spec/v1", "Git LFS pointer"),
    "plain.tar": (b"x" * 257 + b"ustar\x0000", "tar archive without compression"),
    "empty.ckpt": (b"", "it is empty"),
    "cut.ckpt": (b"\x00\x00\x9b\x01" * 60, "cut off, or something else"),
    "model.tflite": (b"\x1c\0\0\0TFL3" + b"x" * 60, "TensorFlow Lite"),
}


@pytest.mark.parametrize("name", LOOKALIKES)
def test_a_file_that_is_something_else_is_named_for_what_it_looks_like(tmp_path, name):
    content, shown = LOOKALIKES[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointFormatError, match=shown) as caught:
        open_checkpoint(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


def test_an_index_that_is_something_else_is_a_format_error(tmp_path):
    (tmp_path / "m.index").write_bytes(b"PK\x03\x04" + b"\0" * 60)
    for path in (tmp_path / "m", tmp_path / "m.index"):
        with pytest.raises(CheckpointFormatError, match=r"m\.index.*a table ends with"):
            open_checkpoint(path)


def test_a_path_to_nothing_is_an_error_that_suggests_near_ones(tmp_path):
    folder_with(tmp_path, "model.ckpt-30000")
    with pytest.raises(CheckpointNotFoundError, match="in its folder: .*model.ckpt-30000"):
        open_checkpoint(tmp_path / "model.ckpt")
    with pytest.raises(CheckpointNotFoundError, match="no folder"):
        open_checkpoint(tmp_path / "none" / "model.ckpt")
    for path in ("", "a\0b"):
        with pytest.raises(CheckpointNotFoundError, match="no path"):
            open_checkpoint(path)


def test_a_data_file_without_its_index_is_an_error(tmp_path):
    copy_fixture("v2", tmp_path)
    os.remove(tmp_path / "v2.index")
    for name in ("v2", "v2.data-00000-of-00001", "v2.index"):
        with pytest.raises(CheckpointNotFoundError, match=r"v2"):
            open_checkpoint(tmp_path / name)
    with pytest.raises(CheckpointNotFoundError, match=r"v2\.index: the index is missing"):
        open_checkpoint(tmp_path / "v2.data-00000-of-00001")


def test_shards_of_two_v1_checkpoints_are_an_error(tmp_path):
    prefix = copy_fixture("v1_sharded", tmp_path)
    shutil.copy(f"{prefix}-00000-of-00002", f"{prefix}-00000-of-00003")
    with pytest.raises(CheckpointFormatError, match="of 00002 and of 00003"):
        open_checkpoint(prefix)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "m")
    with pytest.raises(CheckpointNotFoundError):
        open_checkpoint(tmp_path / "m")
    prefix = copy_fixture("v2", tmp_path)
    os.remove(f"{prefix}.data-00000-of-00001")
    os.mkfifo(f"{prefix}.data-00000-of-00001")
    with open_checkpoint(prefix) as checkpoint:
        with pytest.raises(CheckpointNotFoundError, match="not a regular file"):
            checkpoint[STEP]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_an_error(tmp_path):
    prefix = copy_fixture("v2", tmp_path)
    (tmp_path / "v2.index").chmod(0)
    with pytest.raises(CheckpointNotFoundError, match="ermission"):
        open_checkpoint(prefix)


def test_a_renamed_file_under_an_open_checkpoint_does_not_change_it(tmp_path):
    prefix = copy_fixture("v2", tmp_path)
    wanted = expected("v2")
    with open_checkpoint(prefix) as checkpoint:
        checkpoint.read(STEP)
        os.rename(f"{prefix}.data-00000-of-00001", f"{prefix}.gone")
        for name, value in wanted.items():
            assert_same(checkpoint[name], value, name)
