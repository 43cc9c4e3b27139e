"""Preparing Pascal VOC 2012 and SBD, from small archives of the same layout."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import tarfile
from pathlib import Path
from typing import Any, Iterator

import numpy as np
import pytest
from mmseg.datasets import PascalVOCDataset
from PIL import Image
from scipy.io import savemat
from scipy.sparse import csc_matrix

from mmseg_deeplab_ext.datasets import voc as voc_module
from mmseg_deeplab_ext.datasets.download import md5_archive
from mmseg_deeplab_ext.datasets.label_png import voc_colormap
from mmseg_deeplab_ext.datasets.voc import OFFICIAL_COUNTS, prepare_voc
from mmseg_deeplab_ext.download import RemoteFile
from mmseg_deeplab_ext.errors import DatasetError
from tests.support.file_server import FileServer, serve
from tests.support.voc_layout import snapshot, write_list, write_voc_folder

SBD_LABEL = np.array([[0, 20, 1], [7, 7, 0]], dtype=np.uint8)


def jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (3, 2)).save(buffer, "JPEG")
    return buffer.getvalue()


def label_png() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(SBD_LABEL).save(buffer, "PNG")
    return buffer.getvalue()


def mat(label: np.ndarray = SBD_LABEL) -> bytes:
    """A label file of SBD: a struct with boundaries (sparse, per class), classes and labels."""
    boundaries = np.empty((20, 1), dtype=object)
    for row in range(20):
        boundaries[row, 0] = csc_matrix(np.zeros(label.shape))
    buffer = io.BytesIO()
    fields = {"Boundaries": boundaries, "Segmentation": label, "CategoriesPresent": [[1], [7]]}
    savemat(buffer, {"GTcls": fields})
    return buffer.getvalue()


def pack(files: dict[str, bytes], mode: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def voc_files() -> dict[str, bytes]:
    """Images a to e; a and b to train on, c for validation, d and e without labels of VOC."""
    base = "VOCdevkit/VOC2012"
    files = {f"{base}/JPEGImages/{name}.jpg": jpeg() for name in "abcde"}
    files.update({f"{base}/SegmentationClass/{name}.png": label_png() for name in "abc"})
    for split, names in {"train": "ab", "val": "c", "trainval": "abc"}.items():
        files[f"{base}/ImageSets/Segmentation/{split}.txt"] = "\n".join(names).encode() + b"\n"
    files[f"{base}/Annotations/a.xml"] = b"<annotation/>"
    return files


def sbd_files() -> dict[str, bytes]:
    """SBD's own split mixes VOC's: a (train) and c (val) are in both data sets."""
    base = "benchmark_RELEASE/dataset"
    files = {f"{base}/cls/{name}.mat": mat() for name in "acde"}
    files[f"{base}/cls/._a.mat"] = b"a file system's leftover"
    files[f"{base}/img/d.jpg"] = jpeg()
    files[f"{base}/train.txt"] = b"c\nd\n"
    files[f"{base}/val.txt"] = b"a\ne\n"
    return files


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serve() as running:
        yield running


def remote(server: FileServer, name: str, content: bytes, md5: str | None = None) -> RemoteFile:
    server.files[name] = content
    return md5_archive(name, server.url(name), md5 or hashlib.md5(content).hexdigest())


def archives(
    server: FileServer, *, voc: dict[str, bytes] | None = None, sbd: dict[str, bytes] | None = None
) -> dict[str, RemoteFile]:
    return {
        "voc": remote(server, "voc.tar", pack(voc or voc_files(), "w")),
        "sbd": remote(server, "sbd.tgz", pack(sbd or sbd_files(), "w:gz")),
    }


def names_in(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_everything_is_brought_into_the_layout(server: FileServer, tmp_path: Path) -> None:
    report = prepare_voc(tmp_path / "VOCdevkit", **archives(server))
    folder = tmp_path / "VOCdevkit" / "VOC2012"
    assert report.folder == folder
    assert report.counts == {"train": 2, "val": 1, "trainval": 3, "aug": 2}
    assert (folder / "ImageSets/Segmentation/aug.txt").read_text() == "d\ne\n"
    assert names_in(folder / "SegmentationClassAug") == ["a.png", "c.png", "d.png", "e.png"]
    assert names_in(tmp_path / "VOCdevkit") == ["VOC2012", "sbd.tgz", "voc.tar"]
    assert (folder / "Annotations/a.xml").exists()


def test_the_labels_of_sbd_become_palette_images_with_the_same_values(
    server: FileServer, tmp_path: Path
) -> None:
    report = prepare_voc(tmp_path, **archives(server))
    picture = Image.open(report.folder / "SegmentationClassAug/d.png")
    assert picture.mode == "P"
    np.testing.assert_array_equal(np.asarray(picture), SBD_LABEL)
    colours = np.asarray(picture.convert("RGB"))[0]
    np.testing.assert_array_equal(colours, [[0, 0, 0], [0, 64, 128], [128, 0, 0]])


def test_the_colours_are_those_of_mmsegs_data_set() -> None:
    palette = PascalVOCDataset.METAINFO["palette"]
    np.testing.assert_array_equal(voc_colormap()[: len(palette)], palette)
    assert voc_colormap()[255].tolist() == [224, 224, 192]


def test_mmsegs_data_set_reads_the_result(server: FileServer, tmp_path: Path) -> None:
    root = prepare_voc(tmp_path, **archives(server)).folder
    dataset = PascalVOCDataset(
        data_root=str(root),
        data_prefix={"img_path": "JPEGImages", "seg_map_path": "SegmentationClassAug"},
        ann_file="ImageSets/Segmentation/aug.txt",
        pipeline=[
            {"type": "LoadImageFromFile"},
            {"type": "mmseg_deeplab_ext.CheckedLoadAnnotations", "num_classes": 21},
        ],
    )
    assert len(dataset) == 2
    np.testing.assert_array_equal(dataset[1]["gt_seg_map"], SBD_LABEL)


def test_a_second_run_touches_nothing_and_asks_for_nothing(
    server: FileServer, tmp_path: Path
) -> None:
    files = archives(server)
    prepare_voc(tmp_path, **files)
    (tmp_path / "voc.tar").unlink()  # a finished folder needs no archive
    (tmp_path / "sbd.tgz").unlink()
    before, asked = snapshot(tmp_path), len(server.requests)
    report = prepare_voc(tmp_path, **files)
    assert snapshot(tmp_path) == before
    assert len(server.requests) == asked
    assert all("left untouched" in sentence for sentence in report.done)


def test_labels_of_sbd_are_added_to_a_folder_that_was_there(
    server: FileServer, tmp_path: Path
) -> None:
    files = archives(server)
    report = prepare_voc(tmp_path, augmented=False, **files)
    assert [name for name, _ in server.requests] == ["voc.tar"]
    assert "aug" not in report.counts
    before = snapshot(report.folder / "JPEGImages")
    report = prepare_voc(tmp_path, **files)
    assert [name for name, _ in server.requests] == ["voc.tar", "sbd.tgz"]
    assert report.counts["aug"] == 2
    assert snapshot(report.folder / "JPEGImages") == before


def test_archives_that_are_there_are_used_without_a_server(
    server: FileServer, tmp_path: Path
) -> None:
    files = archives(server)
    store = tmp_path / "store"
    store.mkdir()
    for name, content in server.files.items():
        (store / name).write_bytes(content)
    prepare_voc(tmp_path / "VOCdevkit", archives=store, **files)
    assert server.requests == []


def test_counts_that_differ_from_the_official_ones_are_warned_of(
    server: FileServer, tmp_path: Path
) -> None:
    report = prepare_voc(tmp_path, **archives(server))
    assert "aug.txt lists 2 images; the official one lists 9118" in report.warnings
    assert len(report.warnings) == len(OFFICIAL_COUNTS)
    assert OFFICIAL_COUNTS["train"] + OFFICIAL_COUNTS["aug"] == 10582


def test_a_wrong_checksum_leaves_no_folder_behind(server: FileServer, tmp_path: Path) -> None:
    files = archives(server)
    files["voc"] = remote(server, "voc.tar", server.files["voc.tar"], md5="0" * 32)
    with pytest.raises(DatasetError, match="MD5 digest"):
        prepare_voc(tmp_path, **files)
    assert list(tmp_path.iterdir()) == []


def test_a_half_extracted_folder_is_not_taken_for_a_finished_one(
    server: FileServer, tmp_path: Path
) -> None:
    folder = write_voc_folder(tmp_path / "VOC2012")
    (folder / "JPEGImages/b.jpg").unlink()
    before = snapshot(folder)
    with pytest.raises(DatasetError, match=r"VOC2012 is incomplete: train.txt .*b\.jpg\. Nothing"):
        prepare_voc(tmp_path, **archives(server))
    assert snapshot(folder) == before
    assert server.requests == []


def test_half_converted_labels_are_not_taken_for_finished_ones(
    server: FileServer, tmp_path: Path
) -> None:
    files = archives(server)
    report = prepare_voc(tmp_path, **files)
    (report.folder / "SegmentationClassAug/e.png").unlink()
    with pytest.raises(DatasetError, match=r"aug.txt names files .*e\.png"):
        prepare_voc(tmp_path, **files)
    (report.folder / "ImageSets/Segmentation/aug.txt").unlink()
    with pytest.raises(DatasetError, match=r"the list .*aug\.txt is missing"):
        prepare_voc(tmp_path, **files)


def test_a_killed_extraction_is_started_over(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leftover = tmp_path / ".VOC2012.abc.partial" / "JPEGImages"
    leftover.mkdir(parents=True)
    (leftover / "a.jpg").write_bytes(b"half")
    report = prepare_voc(tmp_path, **archives(server))
    assert (report.folder / "JPEGImages/a.jpg").read_bytes() == jpeg()
    assert names_in(tmp_path) == ["VOC2012", "sbd.tgz", "voc.tar"]


def test_an_interrupted_extraction_leaves_only_the_archive(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(voc_module.shutil, "copyfileobj", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare_voc(tmp_path, **archives(server))
    assert names_in(tmp_path) == ["voc.tar"]


@pytest.mark.parametrize("name", ["VOCdevkit/VOC2012/../../../evil", "/tmp/evil"])
def test_a_member_that_leads_out_of_the_folder_is_refused(
    server: FileServer, tmp_path: Path, name: str
) -> None:
    files = archives(server, voc={**voc_files(), name: b"evil"})
    with pytest.raises(DatasetError, match="leads out of the archive"):
        prepare_voc(tmp_path / "VOCdevkit", **files)
    assert names_in(tmp_path) == ["VOCdevkit"]
    assert names_in(tmp_path / "VOCdevkit") == ["voc.tar"]


def test_a_link_in_the_archive_is_refused(server: FileServer, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        link = tarfile.TarInfo("VOCdevkit/VOC2012/JPEGImages")
        link.type, link.linkname = tarfile.SYMTYPE, "/tmp"
        tar.addfile(link)
    files = {"voc": remote(server, "voc.tar", buffer.getvalue())}
    with pytest.raises(DatasetError, match="is a link"):
        prepare_voc(tmp_path, augmented=False, **files)
    assert names_in(tmp_path) == ["voc.tar"]


def test_an_archive_that_lacks_listed_files_makes_no_folder(
    server: FileServer, tmp_path: Path
) -> None:
    files = voc_files()
    del files["VOCdevkit/VOC2012/SegmentationClass/b.png"]
    with pytest.raises(DatasetError, match=r"train\.txt names files that are missing: .*b\.png"):
        prepare_voc(tmp_path, **archives(server, voc=files))
    assert names_in(tmp_path) == ["voc.tar"]


def sbd_with(**changes: bytes | None) -> dict[str, bytes]:
    files = sbd_files()
    for name, content in changes.items():
        path = f"benchmark_RELEASE/dataset/{name.replace('__', '/').replace('_', '.')}"
        if content is None:
            del files[path]
        else:
            files[path] = content
    return files


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"val_txt": None}, r"it lacks benchmark_RELEASE/dataset/val\.txt"),
        ({"val_txt": b"a\ne\nx\n"}, r"lacks labels: .*x\.png"),
        ({"cls__x_mat": mat(), "val_txt": b"x\n"}, r"lacks images that SBD labels: .*x\.jpg"),
        ({"cls__d_mat": b"not MATLAB's"}, r"cls/d\.mat has no label map"),
        ({"cls__d_mat": mat(SBD_LABEL + 1)}, r"cls/d\.mat: label 21; SBD's .* 0 to 20"),
        ({"cls__d_mat": mat(SBD_LABEL / 2)}, r"cls/d\.mat: the label map has shape \(2, 3\)"),
    ],
)
def test_an_archive_that_is_not_sbds_leaves_no_labels_behind(
    server: FileServer, tmp_path: Path, changes: dict[str, bytes | None], message: str
) -> None:
    with pytest.raises(DatasetError, match=message):
        prepare_voc(tmp_path, **archives(server, sbd=sbd_with(**changes)))
    assert "SegmentationClassAug" not in names_in(tmp_path / "VOC2012")
    assert not any(name.startswith(".") for name in names_in(tmp_path / "VOC2012"))


def test_a_list_of_ones_own_is_not_overwritten(server: FileServer, tmp_path: Path) -> None:
    files = archives(server)
    report = prepare_voc(tmp_path, augmented=False, **files)
    write_list(report.folder, "aug", ["d"])
    with pytest.raises(DatasetError, match=r"aug\.txt is there already and lists other images"):
        prepare_voc(tmp_path, **files)
    assert (report.folder / "ImageSets/Segmentation/aug.txt").read_text() == "d\n"


def test_the_folder_itself_given_as_the_root_gets_advice(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=f"give the folder that holds VOC2012 .*: {tmp_path}"):
        prepare_voc(tmp_path / "VOC2012")


def test_the_command_says_what_it_found(
    voc_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = importlib.util.spec_from_file_location(
        "prepare_voc_tool", "tools/dataset_converters/prepare_voc.py"
    )
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    tool.main([str(voc_folder.parent)])
    printed = capsys.readouterr().out
    assert f"{voc_folder} was there and complete; left untouched" in printed
    assert "VOCaug training set: 3" in printed
    assert "warning: train.txt lists 2 images; the official one lists 1464" in printed
    with pytest.raises(SystemExit, match="error: .*give the folder that holds VOC2012"):
        tool.main([str(voc_folder)])
