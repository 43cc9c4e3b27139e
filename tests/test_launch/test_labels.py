"""Label maps are read before a run."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import ConfigDict
from mmseg.utils import register_all_modules
from PIL import Image

from mmseg_deeplab_ext.config_view import ConfigView
from mmseg_deeplab_ext.errors import DatasetError
from mmseg_deeplab_ext.launch.checks.labels import check_labels

CLASSES = ("sky", "sea", "shore")


@pytest.fixture(scope="module", autouse=True)
def _mmseg_scope() -> None:
    register_all_modules()


def write(folder: Path, count: int) -> None:
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    for number in range(count):
        Image.new("RGB", (4, 3)).save(folder / "images" / f"{number:03}.jpg")
        relabel(folder, number, value=number % 3)


def relabel(folder: Path, number: int, *, value: int) -> None:
    Image.new("L", (4, 3), value).save(folder / "labels" / f"{number:03}.png")


def dataset(folder: Path, **keys: Any) -> dict[str, Any]:
    return {
        "type": "BaseSegDataset",
        "data_root": str(folder),
        "data_prefix": {"img_path": "images", "seg_map_path": "labels"},
        "metainfo": {"classes": CLASSES},
        "pipeline": [{"type": "LoadImageFromFile"}, {"type": "LoadAnnotations"}],
        **keys,
    }


def view(*parts: dict[str, Any]) -> ConfigView:
    dataset = {"type": "ConcatDataset", "datasets": list(parts)}
    return ConfigView.of(ConfigDict(train_dataloader={"dataset": dataset}), splits=("train",))


def test_good_labels_are_counted_as_far_as_they_are_read(tmp_path: Path) -> None:
    write(tmp_path, 40)
    assert check_labels(view(dataset(tmp_path))) == 32
    assert check_labels(view(dataset(tmp_path)), every=True) == 40


def test_a_setting_that_fits_no_file_is_found_in_the_first_few(tmp_path: Path) -> None:
    write(tmp_path, 40)
    with pytest.raises(DatasetError) as caught:
        check_labels(view(dataset(tmp_path, metainfo={"classes": ("only",)})))
    *problems, count = str(caught.value).splitlines()
    assert len(problems) == 5
    assert "labels/001.png: label values 1 are none of the 1 classes" in problems[0]
    assert count.startswith("21 of the 32 label maps that were read (of 40; --check-labels ")


def test_reduce_zero_label_and_ignored_pixels_count_as_in_the_run(tmp_path: Path) -> None:
    write(tmp_path, 3)
    relabel(tmp_path, 0, value=255)
    relabel(tmp_path, 1, value=3)
    assert check_labels(view(dataset(tmp_path, reduce_zero_label=True))) == 3
    with pytest.raises(DatasetError, match="label values 3 are none"):
        check_labels(view(dataset(tmp_path)))


@pytest.mark.parametrize("every", [False, True])
def test_a_single_bad_file_is_found_where_all_are_read(tmp_path: Path, every: bool) -> None:
    write(tmp_path, 40)
    relabel(tmp_path, 4, value=9)  # of 40, number 4 is passed over
    cfg = view(dataset(tmp_path))
    if every:
        with pytest.raises(
            DatasetError, match=r"004\.png.*\n1 of the 40 label maps that were read "
        ):
            check_labels(cfg, every=True)
    else:
        check_labels(cfg)


def test_processes_share_the_reading(tmp_path: Path) -> None:
    write(tmp_path, 10)
    cfg = view(dataset(tmp_path))
    assert [check_labels(cfg, every=True, share=(rank, 4)) for rank in range(4)] == [3, 3, 2, 2]


def test_the_bad_files_of_all_data_sets_are_reported_together(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name, 1)
        relabel(tmp_path / name, 0, value=7)
    (tmp_path / "b" / "labels" / "000.png").write_bytes(b"no picture")
    with pytest.raises(DatasetError) as caught:
        check_labels(view(dataset(tmp_path / "a"), dataset(tmp_path / "b")))
    message = str(caught.value)
    assert "a/labels/000.png: label values 7" in message
    assert "b/labels/000.png: this label map can't be read" in message


@pytest.mark.parametrize("reason", ["no classes known", "no label map loaded", "remote"])
def test_what_the_run_does_not_check_is_not_read(tmp_path: Path, reason: str) -> None:
    part = dataset(tmp_path / "absent")
    if reason == "no classes known":
        part["metainfo"] = None
    elif reason == "no label map loaded":
        part["pipeline"] = part["pipeline"][:1]
    else:
        part["backend_args"] = {"backend": "petrel"}
    assert check_labels(view(part)) == 0


def test_reading_changes_nothing_of_the_config(tmp_path: Path) -> None:
    write(tmp_path, 1)
    cfg = view(dataset(tmp_path))
    before = copy.deepcopy(cfg.config)
    check_labels(cfg)
    assert cfg.config == before
