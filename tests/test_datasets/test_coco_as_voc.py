"""COCO's instances as label maps of VOC's classes, on small annotation files."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmseg.datasets import PascalVOCDataset
from PIL import Image

import mmseg_deeplab_ext.datasets.coco_as_voc as module
from mmseg_deeplab_ext.datasets.coco_as_voc import COCO_NAMES, convert_coco
from mmseg_deeplab_ext.datasets.label_png import voc_colormap
from mmseg_deeplab_ext.errors import DatasetError, EnvironmentNotReadyError
from tests.support.coco_layout import instances, square, write_coco_folder
from tests.support.tool_modules import load_tool
from tests.support.voc_layout import snapshot

PERSON, BOTTLE, TABLE, DOG = 15, 5, 11, 12


def convert(root: Path, *objects: dict[str, Any]) -> np.ndarray:
    """The label map of one image with these objects, and a dog so large that it is not left out."""
    dog = square("dog", 0, 60, side=40)
    write_coco_folder(root, {"a": [dog, *objects]})
    convert_coco(root)
    label = np.asarray(Image.open(root / "voc_labels/train2017/a.png"))
    assert (label[60:, :40] == DOG).all()
    return label


def test_the_category_map_is_vocs_order_of_classes() -> None:
    voc = PascalVOCDataset.METAINFO["classes"][1:]
    renamed = {
        theirs: ours for theirs, ours in zip(COCO_NAMES, voc) if theirs.replace(" ", "") != ours
    }
    assert renamed == {
        "airplane": "aeroplane",
        "motorcycle": "motorbike",
        "couch": "sofa",
        "tv": "tvmonitor",
    }
    assert len(COCO_NAMES) == len(voc) == 20


def test_objects_get_vocs_labels_and_all_else_is_background(tmp_path: Path) -> None:
    label = convert(
        tmp_path,
        square("person", 0, 0, side=40),
        square("tv", 50, 0, side=20),
        square("giraffe", 80, 80, side=10),
    )
    assert label.shape == (100, 120)
    assert label.dtype == np.uint8
    assert (label[:40, :40] == PERSON).all()
    assert (label[:20, 50:70] == 20).all()
    assert (label == 0).sum() == 100 * 120 - 2 * 1600 - 400


@pytest.mark.parametrize("backwards", [False, True])
def test_the_smaller_object_is_on_top_whatever_their_order_in_the_file(
    tmp_path: Path, backwards: bool
) -> None:
    objects = [square("dining table", 40, 0, side=40), square("bottle", 50, 10, side=10)]
    label = convert(tmp_path, *(reversed(objects) if backwards else objects))
    assert (label[10:20, 50:60] == BOTTLE).all()
    assert (label == TABLE).sum() == 1600 - 100


def test_of_two_objects_of_one_size_the_later_one_is_on_top(tmp_path: Path) -> None:
    label = convert(tmp_path, square("bottle", 50, 10, side=10), square("person", 50, 10, side=10))
    assert (label[10:20, 50:60] == PERSON).all()


def test_a_crowd_is_ignored_but_for_the_objects_inside_it(tmp_path: Path) -> None:
    # One run of background, one of the crowd, in columns: the upper 50 rows of columns 60 to 119.
    counts = [60 * 100, 50, *[50, 50] * 59, 50]
    crowd = dict(square("person", 0, 0, side=1), iscrowd=1, area=3000)
    crowd["segmentation"] = {"size": [100, 120], "counts": counts}
    label = convert(tmp_path, square("person", 80, 10, side=20), crowd)
    assert (label[10:30, 80:100] == PERSON).all()
    assert (label == 255).sum() == 50 * 60 - 400
    assert not label[:50, 50:60].any()


def test_a_crowd_of_another_category_is_background(tmp_path: Path) -> None:
    crowd = dict(square("giraffe", 60, 0, side=20), iscrowd=1)
    assert (convert(tmp_path, crowd)[:20, 60:80] == 0).all()


def test_images_with_too_few_pixels_of_vocs_classes_are_left_out(tmp_path: Path) -> None:
    just = dict(square("person", 0, 0, side=40), area=1000)
    more = dict(just, area=1000.5)
    write_coco_folder(
        tmp_path,
        {
            "none": [],
            "just": [just],
            "more": [more],
            "two": [dict(just, area=600), dict(just, area=600)],
            "other": [square("giraffe", 0, 0, side=50)],
            "crowd": [just, dict(square("person", 0, 0, side=50), iscrowd=1)],
        },
    )
    report = convert_coco(tmp_path)
    assert report.names.read_text() == "more\ntwo\n"
    assert (report.converted, report.left_out) == (2, 4)
    assert sorted(p.name for p in report.names.with_suffix("").iterdir()) == ["more.png", "two.png"]


def test_label_maps_have_vocs_colours_and_mmsegs_data_set_reads_them(tmp_path: Path) -> None:
    label = convert(tmp_path, square("person", 0, 0, side=40))
    picture = Image.open(tmp_path / "voc_labels/train2017/a.png")
    assert picture.getpalette() == voc_colormap().ravel().tolist()
    dataset = PascalVOCDataset(
        data_root=str(tmp_path),
        data_prefix={"img_path": "train2017", "seg_map_path": "voc_labels/train2017"},
        ann_file="voc_labels/train2017.txt",
        pipeline=[
            {"type": "LoadImageFromFile"},
            {"type": "mmseg_deeplab_ext.CheckedLoadAnnotations", "num_classes": 21},
        ],
    )
    assert len(dataset) == 1
    np.testing.assert_array_equal(dataset[0]["gt_seg_map"], label)


def test_a_second_run_reads_no_annotations_and_touches_nothing(tmp_path: Path) -> None:
    convert(tmp_path)
    (tmp_path / "annotations/instances_train2017.json").unlink()
    before = snapshot(tmp_path)
    report = convert_coco(tmp_path)
    assert (report.converted, report.left_out) == (1, None)
    assert snapshot(tmp_path) == before


def test_an_interrupted_conversion_goes_on_and_has_no_list_before_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_coco_folder(tmp_path, {name: [square("dog", 0, 0, side=40)] for name in "abc"})

    def interrupted(path: Path, content: bytes, *, write: Any = module.write_atomically) -> None:
        if path.name == "b.png":
            raise KeyboardInterrupt
        write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_atomically", interrupted)
        with pytest.raises(KeyboardInterrupt):
            convert_coco(tmp_path)
    labels = tmp_path / "voc_labels"
    (labels / "train2017/.b.png.7.partial").touch()  # as a killed program leaves it
    first = snapshot(labels)["train2017/a.png"]
    assert not (labels / "train2017.txt").exists()
    assert convert_coco(tmp_path).converted == 3
    assert snapshot(labels)["train2017/a.png"] == first
    names = sorted(path.name for path in (labels / "train2017").iterdir())
    assert names == ["a.png", "b.png", "c.png"]


def test_label_maps_that_are_missing_later_are_named(tmp_path: Path) -> None:
    convert(tmp_path)
    (tmp_path / "voc_labels/train2017/a.png").unlink()
    with pytest.raises(DatasetError, match=r"lacks 1 of 1 files: a\.png\. Remove .*train2017\.txt"):
        convert_coco(tmp_path)


def broken(**changes: Any) -> dict[str, Any]:
    """Annotations of one image, with other values in its only object, or without (None)."""
    content = instances({"a": [square("dog", 0, 0, side=40)]})
    content["annotations"][0].update(changes)
    for key in [key for key, value in changes.items() if value is None]:
        del content["annotations"][0][key]
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "no annotation file of COCO's"),
        ({"annotations": [{}]}, "no annotation file of COCO's"),
        ({}, "lacks the categories airplane, bicycle"),
        (instances({}), "no image with more than 1000 pixels"),
        (broken(area=None), "no instances as COCO has them .*area"),
        (broken(segmentation=None), "objects of a can't be drawn .*segmentation"),
        (broken(segmentation=[]), "objects of a can't be drawn"),
        (broken(segmentation={"size": [9, 9], "counts": [81]}), "objects of a can't be drawn"),
        (instances({"../a": [square("dog", 0, 0, side=40)]}), r"names the image '\.\./a\.jpg'"),
    ],
)
def test_a_file_that_is_not_cocos_is_named_and_leaves_no_list(
    tmp_path: Path, content: Any, message: str
) -> None:
    write_coco_folder(tmp_path, {"a": []})
    (tmp_path / "annotations/instances_train2017.json").write_text(json.dumps(content))
    with pytest.raises(DatasetError, match=f"instances_train2017.json.*{message}"):
        convert_coco(tmp_path)
    assert not list(tmp_path.rglob("*.txt"))
    assert not list(tmp_path.rglob("*.png"))


def test_what_has_to_be_downloaded_is_named_with_its_address(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"train2017\.json is missing.*trainval2017\.zip"):
        convert_coco(tmp_path)
    write_coco_folder(tmp_path, {"a": [square("dog", 0, 0, side=40)]})
    (tmp_path / "train2017/a.jpg").unlink()
    with pytest.raises(DatasetError, match=r"lacks 1 of 1 files: a\.jpg\..*/zips/train2017\.zip"):
        convert_coco(tmp_path)
    assert not (tmp_path / "voc_labels").exists()


def test_without_pycocotools_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pycocotools.coco", None)
    with pytest.raises(EnvironmentNotReadyError, match=r"mmseg-deeplab-ext\[coco\]"):
        convert_coco(tmp_path)


def test_the_command_says_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_coco_folder(tmp_path, {"a": [square("dog", 0, 0, side=40)], "b": []}, split="val2017")
    main = load_tool("dataset_converters/coco_as_voc").main
    main([str(tmp_path), "--split", "val2017"])
    assert "val2017.txt and the label maps of its 1 images were made; 1 " in capsys.readouterr().out
    main([str(tmp_path), "--split", "val2017"])
    assert "left untouched" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="error: .*instances_train2017.json is missing"):
        main([str(tmp_path)])
