"""The contact sheet of image, ground truth and prediction."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from mmseg.evaluation import IoUMetric
from mmseg.utils import get_classes, get_palette
from PIL import Image

from mmseg_deeplab_ext.datasets.demo_dataset import DemoSpec, make_demo_dataset
from mmseg_deeplab_ext.datasets.demo_scenes import DEMO_CLASSES, DEMO_PALETTE
from mmseg_deeplab_ext.errors import DatasetError
from mmseg_deeplab_ext.visualization import (
    ClassColours,
    Sample,
    contact_sheet,
    evenly_chosen,
    read_miou,
)
from tests.support.tool_modules import load_tool
from tests.support.voc_layout import write_list

NAMES = [f"scene_{number:05d}" for number in (1, 2, 3)]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("demo")
    make_demo_dataset(root, DemoSpec(train=1, val=3))
    return root


def predict(root: Path, out: Path, *, value: int | None = None) -> None:
    """Write predictions the way a test run does: the truth, or one value everywhere."""
    metric = IoUMetric(output_dir=str(out), format_only=True)
    metric.dataset_meta = {"classes": DEMO_CLASSES}
    for name in NAMES:
        label = np.array(Image.open(root / f"SegmentationClass/{name}.png")).astype(np.int64)
        label = np.where(label == 255, 0, label) if value is None else np.full_like(label, value)
        sample = {
            "pred_sem_seg": {"data": torch.from_numpy(label)[None]},
            "img_path": str(root / f"JPEGImages/{name}.jpg"),
        }
        metric.process({}, [sample])


def samples(root: Path, predictions: Path) -> list[Sample]:
    return [
        Sample.of(root / f"JPEGImages/{n}.jpg", root / f"SegmentationClass/{n}.png", predictions)
        for n in NAMES
    ]


@pytest.fixture
def tool() -> ModuleType:
    return load_tool("contact_sheet")


def test_the_prediction_of_a_class_is_shown_in_its_colour(demo: Path, tmp_path: Path) -> None:
    predict(demo, tmp_path, value=3)
    classes = ClassColours(DEMO_CLASSES, DEMO_PALETTE)
    sheet = contact_sheet(samples(demo, tmp_path)[:1], classes=classes, panel_width=60)
    pixels = np.asarray(sheet.convert("RGB")).astype(int)
    coloured = np.abs(pixels - DEMO_PALETTE[3]).max(axis=-1) <= 8
    rows = np.flatnonzero(coloured.sum(axis=1) >= 55)  # the legend's square is narrower
    columns = np.flatnonzero(coloured[rows[0]])
    assert rows.size >= 30
    assert columns.min() >= 14 + 2 * 66
    assert coloured[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].all()


def test_the_sheet_grows_by_samples_and_stays_small_on_disk(demo: Path, tmp_path: Path) -> None:
    predict(demo, tmp_path)
    classes = ClassColours(DEMO_CLASSES, DEMO_PALETTE)
    one = contact_sheet(samples(demo, tmp_path)[:1], classes=classes, title="mIoU 70 %")
    three = contact_sheet(samples(demo, tmp_path), classes=classes, title="mIoU 70 %")
    assert three.width > 1.9 * one.width - 60
    assert three.height > one.height
    three.save(tmp_path / "sheet.png", optimize=True)
    assert (tmp_path / "sheet.png").stat().st_size < 100_000


def test_labels_counted_from_one_are_shown_in_the_same_colours(tmp_path: Path) -> None:
    label = np.array([[0, 1, 2, 255]], dtype=np.uint8)
    Image.fromarray(label).save(tmp_path / "label.png")
    colours = [(1, 2, 3), (4, 5, 6)]
    shifted = ClassColours(("one", "two"), colours, reduce_zero_label=True)
    painted = np.asarray(shifted.paint(tmp_path / "label.png"))
    assert painted[0].tolist() == [[224, 224, 192], [1, 2, 3], [4, 5, 6], [224, 224, 192]]
    with pytest.raises(DatasetError, match=r"label\.png: values \[2\] are none of the 2 classes"):
        ClassColours(("one", "two"), colours).paint(tmp_path / "label.png")


def test_a_missing_prediction_is_named(demo: Path, tmp_path: Path) -> None:
    classes = ClassColours(DEMO_CLASSES, DEMO_PALETTE)
    with pytest.raises(DatasetError, match=r"scene_00001\.png is missing"):
        contact_sheet(samples(demo, tmp_path), classes=classes)


def test_samples_are_chosen_evenly_and_never_more_than_there_are() -> None:
    assert evenly_chosen(list("abcdefgh"), 4) == ["a", "c", "e", "g"]
    assert evenly_chosen(["a", "b"], 5) == ["a", "b"]


def test_the_newest_miou_of_a_work_directory_is_found(tmp_path: Path) -> None:
    for age, (name, content) in enumerate(
        [
            ("new/vis_data/scalars.json", '{"loss": 1}\n{"loss": 2}\n'),
            ("new/new.json", json.dumps({"aAcc": 90.0, "mIoU": 71.5})),
            ("old/old.json", json.dumps({"mIoU": 10.0})),
        ]
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        os.utime(path, (1000 - age, 1000 - age))
    assert read_miou(tmp_path) == 71.5
    assert read_miou(tmp_path / "old/old.json") == 10.0
    with pytest.raises(DatasetError, match="no JSON file with an mIoU"):
        read_miou(tmp_path / "new/vis_data")


def test_the_command_prints_the_path_and_the_miou(
    demo: Path, tmp_path: Path, tool: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    predict(demo, tmp_path / "predictions")
    (tmp_path / "metrics.json").write_text('{"mIoU": 71.23}')
    arguments = [str(demo), str(tmp_path / "predictions"), "--metrics", str(tmp_path)]
    tool.main([*arguments, "--samples", "2"])
    assert capsys.readouterr().out == f"{tmp_path / 'contact_sheet.png'} (mIoU 71.2 %)\n"
    assert Image.open(tmp_path / "contact_sheet.png").format == "PNG"
    with pytest.raises(SystemExit, match="error: .*gone"):
        tool.main([str(demo), str(tmp_path / "gone")])


def test_the_command_fails_below_the_demanded_miou_after_drawing_the_sheet(
    demo: Path, tmp_path: Path, tool: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    predict(demo, tmp_path / "predictions")
    arguments = [str(demo), str(tmp_path / "predictions"), "--samples", "1"]
    metrics = tmp_path / "metrics.json"
    metrics.write_text('{"mIoU": 59.97}')
    tool.main([*arguments, "--metrics", str(metrics), "--at-least", "59.97"])
    for text, value in (("59.97", "59.97"), ("NaN", "nan")):
        metrics.write_text(f'{{"mIoU": {text}}}')
        (tmp_path / "contact_sheet.png").unlink()
        with pytest.raises(SystemExit, match=f"mIoU is {value} %, expected were at least 60 %"):
            tool.main([*arguments, "--metrics", str(metrics), "--at-least", "60"])
        assert (tmp_path / "contact_sheet.png").exists()
    with pytest.raises(SystemExit, match="2"):
        tool.main([*arguments, "--at-least", "60"])
    assert "--at-least needs --metrics" in capsys.readouterr().err


def test_pascal_voc_2012_is_known_by_the_names_of_its_pictures(
    tmp_path: Path, tool: ModuleType
) -> None:
    write_list(tmp_path, "val", ["2007_000033", "2011_003255"])
    found, classes = tool.known_samples(tmp_path, tmp_path / "predictions", split="val")
    assert classes.names[1] == "aeroplane"
    assert list(classes.palette[1]) == [128, 0, 0]
    assert found[0].prediction == tmp_path / "predictions/2007_000033.png"


@pytest.mark.parametrize("listed", [["2007_000033", "cell_7"], []])
def test_another_data_set_is_not_shown_with_classes_that_are_guessed(
    listed: list[str], tmp_path: Path, tool: ModuleType
) -> None:
    write_list(tmp_path, "val", listed)
    for split in ("val", "gone"):
        with pytest.raises(SystemExit, match="neither the demo's.* give --config CONFIG"):
            tool.main([str(tmp_path), str(tmp_path / "predictions"), "--split", split])


CONFIG = """
test_dataloader = dict(
    dataset=dict(
        type="RepeatDataset",
        times=1,
        dataset=dict(
            type="BaseSegDataset",
            data_root={root!r},
            data_prefix=dict(img_path="scans", seg_map_path="truth"),
            img_suffix="_scan.png",
            seg_map_suffix="_truth.png",
            reduce_zero_label=True,
            metainfo=dict(classes=["cell", "nucleus"], palette=[[9, 250, 9], [250, 9, 250]]),
        ),
    )
)
"""


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    """A config, with its data set of two samples in folders, and predictions beside it."""
    for number in range(2):
        name = f"slides/{number}"
        label = np.array([[0, 1, 2, 255]] * 4, np.uint8)
        for path, picture in (
            (f"data/scans/{name}_scan.png", np.zeros((4, 4, 3), np.uint8)),
            (f"data/truth/{name}_truth.png", label),
            (f"predictions/{number}_scan.png", label.clip(1, 2)),
        ):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(tmp_path / path)
    (tmp_path / "config.py").write_text(CONFIG.format(root=str(tmp_path / "data")))
    return tmp_path / "config.py"


def test_a_config_says_files_and_classes(cells: Path, tool: ModuleType) -> None:
    folder = cells.parent
    tool.main([str(folder / "predictions"), "--config", str(cells)])
    sheet = Image.open(folder / "contact_sheet.png").convert("RGB")
    shown = {colour for _, colour in sheet.getcolors(maxcolors=256)}
    assert shown >= {(9, 250, 9), (250, 9, 250), (224, 224, 192)}
    args = tool.parse_args([str(folder / "predictions"), "--config", str(cells)])
    found, classes = tool.samples_of(args)
    assert [sample.label.name for sample in found] == ["0_truth.png", "1_truth.png"]
    assert list(classes.names) == ["cell", "nucleus"]


def test_a_config_shows_data_that_lies_elsewhere(cells: Path, tool: ModuleType) -> None:
    folder = cells.parent
    (folder / "data").rename(folder / "moved")
    arguments = ["--config", str(cells), str(folder / "moved"), str(folder / "predictions")]
    tool.main([*arguments, "--out", str(folder / "sheet.png")])
    assert (folder / "sheet.png").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("test_dataloader = None", "no test_dataloader"),
        ("test_dataloader['dataset']['dataset']['metainfo'] = None", "names no classes"),
        (
            "del test_dataloader['dataset']['dataset']['data_prefix']['seg_map_path']",
            "no label maps",
        ),
        (
            "test_dataloader['dataset']['dataset']['type'] = 'Nothing'",
            "'Nothing' is in no registry",
        ),
    ],
)
def test_a_config_that_does_not_say_enough_is_an_error(
    line: str, message: str, cells: Path, tool: ModuleType
) -> None:
    cells.write_text(f"{cells.read_text()}{line}\n")
    with pytest.raises(SystemExit, match=message):
        tool.main([str(cells.parent / "predictions"), "--config", str(cells)])


def test_a_data_set_of_some_classes_is_shown_with_those(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 1, 2, 255]], np.uint8)).save(tmp_path / "label.png")
    colours = ClassColours(("b",), [(1, 2, 3)], label_map={0: 255, 1: 0, 2: 255})
    ignored = [224, 224, 192]
    painted = np.asarray(colours.paint(tmp_path / "label.png"))
    assert painted[0].tolist() == [ignored, [1, 2, 3], ignored, ignored]
    with pytest.raises(DatasetError, match=r"values \[1, 2\] are none of the 1 classes"):
        colours.paint(tmp_path / "label.png", predicted=True)


def test_every_class_keeps_its_colour_however_rare_it_is(demo: Path, tmp_path: Path) -> None:
    predict(demo, tmp_path)
    classes = ClassColours(get_classes("voc12"), get_palette("voc12"))
    sheet = contact_sheet(samples(demo, tmp_path), classes=classes).convert("RGB")
    shown = {colour for _, colour in sheet.getcolors(maxcolors=256)}
    assert shown >= {tuple(int(part) for part in colour) for colour in classes.palette}
