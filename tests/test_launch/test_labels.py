"""Label maps are read before a run."""

from __future__ import annotations

import copy
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.config import ConfigDict
from mmseg.utils import register_all_modules
from PIL import Image

from mmseg_deeplab_ext.config_view import ConfigView
from mmseg_deeplab_ext.errors import DatasetError
from mmseg_deeplab_ext.launch.checks.labels import _read_labels, check_labels

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


def view(*parts: dict[str, Any], split: str = "train") -> ConfigView:
    dataset = {"type": "ConcatDataset", "datasets": list(parts)}
    return ConfigView.of(ConfigDict({f"{split}_dataloader": {"dataset": dataset}}), splits=(split,))


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """What the check says without an error: (level, sentence)."""
    lines: list[tuple[int, str]] = []
    monkeypatch.setattr(
        "mmseg_deeplab_ext.launch.checks.labels.print_log",
        lambda text, logger, level: lines.append((level, text)),
    )
    return lines


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
    write(tmp_path, 3)
    cfg = view(dataset(tmp_path))
    before = copy.deepcopy(cfg.config)
    check_labels(cfg)
    assert cfg.config == before


def test_masks_of_0_and_255_are_an_error_also_where_a_few_are_read(tmp_path: Path) -> None:
    write(tmp_path, 40)
    for number in range(40):
        relabel(tmp_path, number, value=0 if number % 2 else 255)
    for every, were_read in ((False, "32 label maps .* reads all"), (True, "40 label maps")):
        with pytest.raises(
            DatasetError, match=f"{were_read}.*'sky' .0. is the only class"
        ) as caught:
            check_labels(view(dataset(tmp_path)), every=every)
        assert "50.0% of the pixels are ignored. Value 255 is ignored" in str(caught.value)


def test_a_single_class_is_an_error_where_all_are_read_and_else_a_doubt(
    tmp_path: Path, logged: list
) -> None:
    write(tmp_path, 40)
    for number in range(40):
        relabel(tmp_path, number, value=0)
    check_labels(view(dataset(tmp_path)))
    ((level, text),) = logged
    assert level == logging.WARNING
    assert "in the 32 label maps that were read (of 40; --check-labels reads all), 'sky'" in text
    with pytest.raises(DatasetError, match=r"'sky' \(0\) is the only class that occurs"):
        check_labels(view(dataset(tmp_path)), every=True)
    check_labels(view(dataset(tmp_path), split="val"), every=True)
    assert logged[-1][0] == logging.WARNING


def test_a_rare_class_and_borders_without_data_are_no_error_where_a_few_are_read(
    tmp_path: Path, logged: list
) -> None:
    write(tmp_path, 40)
    for number in range(40):
        label = np.zeros((40, 50), np.uint8)
        label[0, 0] = 255  # 0.05 % of the pixels
        Image.fromarray(label).save(tmp_path / "labels" / f"{number:03}.png")
        Image.new("RGB", (50, 40)).save(tmp_path / "images" / f"{number:03}.jpg")
    check_labels(view(dataset(tmp_path)))
    assert [level for level, _ in logged] == [logging.WARNING]


def test_withheld_labels_of_a_test_set_are_doubted_and_those_of_a_training_an_error(
    tmp_path: Path, logged: list
) -> None:
    write(tmp_path, 2)
    for number in range(2):
        relabel(tmp_path, number, value=255)
    check_labels(view(dataset(tmp_path), split="test"))
    ((level, text),) = logged
    assert level == logging.WARNING
    assert "all pixels are ignored" in text
    with pytest.raises(DatasetError, match="all pixels are ignored"):
        check_labels(view(dataset(tmp_path)))


@pytest.mark.parametrize(("values", "found"), [((0, 1), "only class"), ((0, 0), "all pixels are")])
def test_reduce_zero_label_that_leaves_nothing_to_learn_is_an_error(
    tmp_path: Path, values: tuple[int, int], found: str
) -> None:
    write(tmp_path, 2)
    for number, value in enumerate(values):
        relabel(tmp_path, number, value=value)
    with pytest.raises(DatasetError, match=f"{found}.*reduce_zero_label=True ignores value 0"):
        check_labels(view(dataset(tmp_path, reduce_zero_label=True)))


def test_reduce_zero_label_on_labels_without_a_zero_is_doubted(
    tmp_path: Path, logged: list
) -> None:
    write(tmp_path, 3)
    relabel(tmp_path, 0, value=1)
    check_labels(view(dataset(tmp_path, reduce_zero_label=True)))
    ((level, text),) = logged
    assert level == logging.WARNING
    assert "1 of 3 classes never occur, and 0.0% of the pixels are ignored: 'shore' (2)" in text
    assert "for labels from 0 on, set it to False" in text


def test_absent_classes_of_a_training_are_told(tmp_path: Path, logged: list) -> None:
    classes = (*CLASSES, "storm", "ship")
    write(tmp_path, 40)
    part = dataset(tmp_path, metainfo={"classes": classes})
    check_labels(view(part))
    check_labels(view(part), every=True)
    check_labels(view(part, split="val"), every=True)
    assert [level for level, _ in logged] == [logging.INFO, logging.WARNING]
    assert "2 of 5 classes never occur, and 0.0% of the pixels are ignored" in logged[1][1]
    assert "'storm' (3), 'ship' (4)" in logged[1][1]


def test_a_class_may_be_in_one_data_set_of_a_training_only(tmp_path: Path, logged: list) -> None:
    for name, value in (("a", 0), ("b", 1), ("c", 2)):
        write(tmp_path / name, 1)
        relabel(tmp_path / name, 0, value=value)
    check_labels(view(*(dataset(tmp_path / name) for name in "abc")))
    assert not logged


def test_labels_that_are_nearly_all_ignored_are_doubted(tmp_path: Path, logged: list) -> None:
    write(tmp_path, 3)
    for number in range(3):
        label = np.full((10, 10), 255, np.uint8)
        label[0, :3] = number
        Image.fromarray(label).save(tmp_path / f"labels/{number:03}.png")
        Image.new("RGB", (10, 10)).save(tmp_path / f"images/{number:03}.jpg")
    for split in ("train", "val"):
        check_labels(view(dataset(tmp_path), split=split))
    assert [level for level, _ in logged] == [logging.WARNING] * 2
    assert "97.0% of the pixels are ignored" in logged[0][1]


@pytest.mark.parametrize(("orientation", "size"), [(3, (4, 3)), (2, (4, 3)), (6, (3, 3))])
def test_images_that_exif_turns_without_another_size_are_doubted(
    tmp_path: Path, logged: list, orientation: int, size: tuple[int, int]
) -> None:
    write(tmp_path, 3)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", size).save(tmp_path / "images/001.jpg", exif=exif)
    Image.new("L", size, 1).save(tmp_path / "labels/001.png")
    check_labels(view(dataset(tmp_path)))
    ((level, text),) = logged
    assert level == logging.WARNING
    assert "EXIF data turns the images of 1 of the 3 label maps" in text
    assert "001.jpg: whether labels fit can't be seen. " in text
    assert f"EXIF orientation {orientation} turns" in text
    as_stored = {"type": "LoadImageFromFile", "color_type": "color_ignore_orientation"}
    check_labels(view(dataset(tmp_path, pipeline=[as_stored, {"type": "LoadAnnotations"}])))
    assert len(logged) == 1


def test_an_image_of_another_size_or_cut_off_is_found_before_the_run(tmp_path: Path) -> None:
    write(tmp_path, 3)
    Image.new("RGB", (5, 3)).save(tmp_path / "images/000.jpg")
    whole = (tmp_path / "images/001.jpg").read_bytes()
    (tmp_path / "images/001.jpg").write_bytes(whole[:-2])
    with pytest.raises(DatasetError) as caught:
        check_labels(view(dataset(tmp_path)))
    message = str(caught.value)
    assert "label map is 4x3 pixels (width x height), its image is 5x3" in message
    assert "001.jpg: this image can't be read (the JPEG file is cut off)" in message


def test_what_the_processes_read_is_judged_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: list
) -> None:
    write(tmp_path, 3)
    parts = [
        [labels.maps for labels in _read_labels(view(dataset(tmp_path)), every=True, share=(n, 3))]
        for n in range(3)
    ]
    monkeypatch.setattr(
        "mmseg_deeplab_ext.launch.checks.labels.all_gather_object", lambda mine: parts
    )
    assert check_labels(view(dataset(tmp_path)), every=True, share=(0, 3)) == 1
    assert not logged
