"""A .pth that is none is told by its name, and what it is instead."""

import pytest
import torch

from mmseg_deeplab_ext.conversion.pth import demand_pth, load_pth, reading
from mmseg_deeplab_ext.errors import (
    CheckpointFormatError,
    CheckpointMismatchError,
    CheckpointNotFoundError,
)


def test_a_file_and_an_address_pass(tmp_path):
    (tmp_path / "a.pth").touch()
    demand_pth(str(tmp_path / "a.pth"))
    demand_pth("tf-zoo://resnet_v1_101_beta_imagenet")
    demand_pth("https://server/a.pth")


def test_tensorflows_files_need_their_scheme(tmp_path):
    (tmp_path / "model.ckpt.index").touch()
    prefix = str(tmp_path / "model.ckpt")
    with pytest.raises(
        CheckpointNotFoundError, match=f"TensorFlow checkpoint; write tf://{prefix}"
    ):
        demand_pth(prefix)


def test_of_a_folder_a_file_is_named(tmp_path):
    with pytest.raises(CheckpointNotFoundError, match="is a folder.*it holds no .pth"):
        demand_pth(str(tmp_path))
    for name in ("iter_2.pth", "iter_4.pth"):
        (tmp_path / name).touch()
    with pytest.raises(CheckpointNotFoundError, match=r"is a folder.*such as .*iter_4\.pth"):
        demand_pth(str(tmp_path))
    (tmp_path / "last_checkpoint").write_text(str(tmp_path / "iter_2.pth"))
    with pytest.raises(CheckpointNotFoundError, match=r"such as .*iter_2\.pth"):
        demand_pth(str(tmp_path))


@pytest.mark.parametrize(
    "content", [b"", b"junk", b"garbage\n", b"hello world", b"<html>", b"\x80", b"PK\x03\x04"]
)
def test_whatever_the_bytes_are_the_error_names_the_file(tmp_path, content):
    path = tmp_path / "wrong.pth"
    path.write_bytes(content)
    with pytest.raises(
        CheckpointFormatError, match=r"wrong\.pth is no sound PyTorch file"
    ) as caught:
        load_pth(str(path))
    assert "\n" not in str(caught.value)
    assert ("it is empty" in str(caught.value)) == (not content)


def test_a_file_that_breaks_off_is_named(tmp_path):
    path = tmp_path / "half.pth"
    torch.save({"state_dict": {"weight": torch.zeros(1000)}}, path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(CheckpointFormatError, match=r"half\.pth is no sound PyTorch file"):
        load_pth(str(path))


def test_errors_of_ours_stay_what_they_are():
    with pytest.raises(CheckpointMismatchError, match="^does not fit$"):
        with reading("a.pth"):
            raise CheckpointMismatchError("does not fit")
