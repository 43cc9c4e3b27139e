"""Archives as the model zoo offers them, and ones that mean harm."""

import gc
import gzip
import io
import os
import tarfile
import tempfile

import pytest

from mmseg_deeplab_ext.checkpoints import CheckpointError, open_checkpoint
from mmseg_deeplab_ext.checkpoints.storage import archive
from mmseg_deeplab_ext.errors import (
    CheckpointChecksumError,
    CheckpointFormatError,
    CheckpointNotFoundError,
)
from tests.support.checkpoint_files import assert_same, expected, files_of


def contents(fixture, folder="deeplab_voc", name="model.ckpt"):
    return {
        f"{folder}/{path.name.replace(fixture, name)}": path.read_bytes()
        for path in files_of(fixture)
    }


def pack(path, files, *, others=(), format=tarfile.GNU_FORMAT):
    """Write a .tar.gz of files {name: bytes}, after members given as TarInfo."""
    with tarfile.open(path, "w:gz", format=format) as tar:
        for member in others:
            tar.addfile(member)
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """Where temporary folders appear, and must disappear."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    gc.collect()
    assert list(folder.iterdir()) == []


FROZEN = {"deeplab_voc/frozen_inference_graph.pb": b"x" * 5000}


@pytest.mark.parametrize("fixture", ["v2", "v2_sharded", "v1.ckpt", "v1_sharded"])
@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_an_archive_leads_to_the_checkpoint_in_it(tmp_path, temporary, fixture, format):
    name = "model.ckpt" if fixture != "v1_sharded" else "m.ckpt-7"
    files = {**FROZEN, **contents(fixture, name=name), "deeplab_voc/model.ckpt.meta": b"\n"}
    path = pack(tmp_path / "zoo.tar.gz", files, format=format)
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.path == f"{path}/deeplab_voc/{name}"
        written = [file for _, _, files in os.walk(temporary) for file in files]
        assert len(written) == len(files_of(fixture))
        for key, value in expected(fixture).items():
            assert_same(checkpoint.read(key), value, key)
            view = checkpoint[key]
    assert list(temporary.iterdir()) == []
    assert_same(view, value, key)


def test_the_temporary_folder_goes_with_a_checkpoint_that_is_no_longer_used(tmp_path, temporary):
    checkpoint = open_checkpoint(pack(tmp_path / "zoo.tgz", contents("v2")))
    assert len(list(temporary.iterdir())) == 1
    del checkpoint
    gc.collect()
    assert list(temporary.iterdir()) == []


def test_any_name_and_long_names_will_do(tmp_path):
    files = contents("v2", folder="d" * 90 + "/" + "e" * 90, name="m" * 90)
    for format in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        with open_checkpoint(pack(tmp_path / "cached_1234", files, format=format)) as checkpoint:
            assert checkpoint["global_step"] == 30000


def test_damage_is_told_with_the_name_of_the_archive(tmp_path):
    files = contents("v2")
    files["deeplab_voc/model.ckpt.data-00000-of-00001"] = b"x" * 10_000
    path = pack(tmp_path / "zoo.tar.gz", files)
    with open_checkpoint(path) as checkpoint:
        with pytest.raises(CheckpointChecksumError) as caught:
            checkpoint["net/conv1/weights"]
    assert f"{path}/deeplab_voc/model.ckpt.data-00000-of-00001" in str(caught.value)


def test_of_several_checkpoints_the_state_file_names_one(tmp_path):
    files = {**contents("v2"), **contents("v1.ckpt", name="older.ckpt")}
    with pytest.raises(CheckpointNotFoundError, match=r"model.ckpt.*older.ckpt|older.*model.ckpt"):
        open_checkpoint(pack(tmp_path / "zoo.tar.gz", files))
    files["deeplab_voc/checkpoint"] = b'model_checkpoint_path: "/old/machine/older.ckpt"'
    with open_checkpoint(pack(tmp_path / "zoo.tar.gz", files)) as checkpoint:
        assert checkpoint.format == "V1"
    files["deeplab_voc/checkpoint"] = b'model_checkpoint_path: "none"'
    with pytest.raises(CheckpointNotFoundError, match=r"zoo.tar.gz/deeplab_voc/checkpoint names"):
        open_checkpoint(pack(tmp_path / "zoo.tar.gz", files))


def test_hidden_files_beside_a_checkpoint_are_passed_over(tmp_path):
    files = {**contents("v2"), "deeplab_voc/checkpoint": b'model_checkpoint_path: "C:\\\\gone"'}
    hidden = {name.replace("/", "/._"): b"\0\5\x16\7" for name in files}
    copies = {name.replace("/", "/."): data for name, data in files.items()}
    path = pack(tmp_path / "zoo.tar.gz", {**hidden, **copies, **files})
    with open_checkpoint(path) as checkpoint:
        assert checkpoint["global_step"] == 30000


def test_of_one_checkpoint_the_state_file_does_not_matter(tmp_path):
    files = {**contents("v2"), "deeplab_voc/checkpoint": b'model_checkpoint_path: "gone"'}
    with open_checkpoint(pack(tmp_path / "zoo.tar.gz", files)) as checkpoint:
        assert checkpoint["global_step"] == 30000


def test_an_archive_without_a_checkpoint_is_an_error_that_says_so(tmp_path):
    with pytest.raises(CheckpointFormatError, match=r"zoo\.tar\.gz/deeplab_voc/frozen_inference"):
        open_checkpoint(pack(tmp_path / "zoo.tar.gz", FROZEN))
    with pytest.raises(CheckpointNotFoundError, match="no files that look like one.*: none"):
        open_checkpoint(pack(tmp_path / "zoo.tar.gz", {}))
    with pytest.raises(CheckpointNotFoundError, match="holds: none"):
        open_checkpoint(pack(tmp_path / "zoo.tar.gz", {"a/m.ckpt": b"no table"}))


@pytest.mark.parametrize(
    "name",
    [
        *("../model.ckpt", "a/../../model.ckpt", "/tmp/model.ckpt", "a//model.ckpt"),
        *("C:/model.ckpt", "a\\..\\model.ckpt", "a/b\nc/model.ckpt", "x" * 250 + "/model.ckpt"),
    ],
)
def test_a_name_that_leads_outside_is_refused(tmp_path, temporary, name):
    before = set(tmp_path.rglob("*"))
    path = pack(tmp_path / "zoo.tar.gz", {name: b"x"})
    with pytest.raises(CheckpointFormatError, match="leads outside") as caught:
        open_checkpoint(path)
    assert repr(name) in str(caught.value)
    assert set(tmp_path.rglob("*")) - before == {path}


@pytest.mark.parametrize("kind", ["LNKTYPE", "SYMTYPE", "CHRTYPE", "FIFOTYPE"])
def test_a_link_in_place_of_a_file_is_refused_and_others_are_passed_over(tmp_path, kind):
    member = tarfile.TarInfo("deeplab_voc/other.ckpt")
    member.type, member.linkname = getattr(tarfile, kind), "/etc/passwd"
    path = pack(tmp_path / "zoo.tar.gz", contents("v2"), others=[member])
    with pytest.raises(CheckpointFormatError, match="should be a regular file"):
        open_checkpoint(path)
    member.name = "deeplab_voc/latest"
    path = pack(tmp_path / "zoo.tar.gz", contents("v2"), others=[member])
    with open_checkpoint(path) as checkpoint:
        assert checkpoint["global_step"] == 30000


def test_a_link_as_a_folder_is_not_followed(tmp_path):
    member = tarfile.TarInfo("deeplab_voc")
    member.type, member.linkname = tarfile.SYMTYPE, str(tmp_path)
    path = pack(tmp_path / "zoo.tar.gz", contents("v2"), others=[member])
    with open_checkpoint(path) as checkpoint:
        assert checkpoint["global_step"] == 30000
    assert not list(tmp_path.glob("model.ckpt*"))


def test_one_name_twice_and_a_file_as_a_folder_are_refused(tmp_path):
    path = tmp_path / "zoo.tar.gz"
    pack(path, {"a/m.ckpt": b""}, others=[tarfile.TarInfo("a/m.ckpt")])
    with pytest.raises(CheckpointFormatError, match="there twice"):
        open_checkpoint(path)
    pack(path, {"m.ckpt": b"", "m.ckpt/n.ckpt": b""})
    with pytest.raises(CheckpointFormatError, match="can't be unpacked"):
        open_checkpoint(path)


def test_any_flipped_bit_of_the_archive_is_an_error_or_changes_nothing(tmp_path):
    path = pack(tmp_path / "zoo.tar.gz", contents("objects"))
    sound, wanted = path.read_bytes(), expected("objects")
    errors = []
    for at in range(0, len(sound), 7):
        damaged = bytearray(sound)
        damaged[at] ^= 1 << at % 8
        path.write_bytes(damaged)
        try:
            with open_checkpoint(path) as checkpoint:
                for key, value in wanted.items():
                    assert_same(checkpoint[key], value, key)
        except CheckpointError as error:
            errors.append(str(error))
    assert len(errors) > len(sound) / 7 * 0.9
    assert all(str(path) in error for error in errors)


def test_an_archive_that_is_cut_off_or_followed_by_something_is_an_error(tmp_path):
    path = pack(tmp_path / "zoo.tar.gz", contents("v2"))
    sound = path.read_bytes()
    for size in (2, 9, 10, 11, 100, len(sound) // 2, len(sound) - 8, len(sound) - 1):
        path.write_bytes(sound[:size])
        with pytest.raises(CheckpointFormatError, match=r"zoo.tar.gz.*(cut off|unpacked)"):
            open_checkpoint(path)
    path.write_bytes(sound + b"<html>")
    with pytest.raises(CheckpointError, match="get the archive again"):
        open_checkpoint(path)
    path.write_bytes(gzip.compress(b"no tar archive" * 100))
    with pytest.raises(CheckpointFormatError, match="malformed"):
        open_checkpoint(path)


def test_an_archive_of_very_many_members_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "_MOST_MEMBERS", 20)
    path = pack(tmp_path / "zoo.tar.gz", {f"{number}": b"" for number in range(21)})
    with pytest.raises(CheckpointFormatError, match="more than 20 members"):
        open_checkpoint(path)


def raw_header(name, size_field, kind=b"0"):
    """A tar header with any bytes as the size, and the right checksum."""
    header = bytearray(tarfile.TarInfo(name).tobuf(tarfile.USTAR_FORMAT))
    header[124:136] = size_field
    header[156:157] = kind
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header[:512])


# What is said about the first depends on the version of tarfile.
MALFORMED = {
    "a size that leads back": (
        raw_header("a.txt", b"\xff" * 10 + b"\xfc\x00"),
        "leads back|malformed",
    ),
    "a size that leads nowhere": (raw_header("a.ckpt", b"\x80" + b"\x7f" * 11), ""),
    "a size that is no number": (raw_header("a.ckpt", b"xyz".ljust(12)), ""),
    "a size that is not there": (raw_header("a.ckpt", b"00000100000\0") + b"x" * 512, "cut off"),
    "a long name": (raw_header("a", b"00020000000\0", b"L") + b"a" * 5_000_000, "at most 1048576"),
    "a name of a gigabyte": (raw_header("a", b"10000000000\0", b"L"), "at most 1048576"),
    "extensions of a gigabyte": (raw_header("a", b"10000000000\0", b"x"), "at most 1048576"),
    "extensions that are none": (raw_header("a", b"00000000020\0", b"x") + b"x" * 512, ""),
    "extensions of extensions": (raw_header("a", b"00000000000\0", b"x") * 3000, ""),
    "a sparse file": (raw_header("a.ckpt", b"00000000000\0", b"S"), "a sparse file"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_header_is_an_error_and_neither_a_hang_nor_memory(tmp_path, case):
    data, shown = MALFORMED[case]
    path = tmp_path / "zoo.tar.gz"
    path.write_bytes(gzip.compress(data))
    with pytest.raises(CheckpointError, match=rf"zoo.tar.gz.*({shown})"):
        open_checkpoint(path)
