"""The demo data set: the scenes, and the folder that holds them."""

from __future__ import annotations

import colorsys
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mmseg_deeplab_ext.datasets import demo_dataset
from mmseg_deeplab_ext.datasets.demo_dataset import DemoSpec, make_demo_dataset
from mmseg_deeplab_ext.datasets.demo_scenes import DEMO_CLASSES, DEMO_PALETTE, render_scene
from mmseg_deeplab_ext.datasets.demo_textures import shape_colour
from mmseg_deeplab_ext.errors import DatasetError
from tests.support.tool_modules import load_tool
from tests.support.voc_layout import snapshot

SMALL = DemoSpec(train=4, val=2)
CONFIG = "configs/deeplabv3plus_r18beta_demo.py"


@pytest.fixture
def tool() -> ModuleType:
    return load_tool("make_demo_dataset")


def test_a_scene_depends_on_its_seed_and_number_alone() -> None:
    first, again = render_scene(3, seed=5), render_scene(3, seed=5)
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.label, again.label)
    for other in (render_scene(4, seed=5), render_scene(3, seed=6)):
        assert other.image.shape != first.image.shape or (other.image != first.image).any()


def test_scenes_have_every_class_with_an_ignored_outline() -> None:
    found: set[int] = set()
    for scene in map(render_scene, range(20)):
        assert scene.image.shape == (*scene.label.shape, 3)
        assert scene.image.dtype == scene.label.dtype == np.uint8
        assert 0.01 < (scene.label == 255).mean() < 0.2
        found |= set(np.unique(scene.label).tolist())
    assert found == {*range(len(DEMO_CLASSES)), 255}


def test_colour_suggests_the_class_but_does_not_give_it_away() -> None:
    rng = np.random.default_rng(0)
    for own in (0.0, 0.5):
        colours = [shape_colour(rng, typical_hue=own) for _ in range(300)]
        hues = np.array([colorsys.rgb_to_hsv(*colour)[0] for colour in colours])
        away = np.abs((hues - own + 0.5) % 1 - 0.5)  # along the colour wheel
        assert 0.8 < (away < 0.1).mean() < 0.95


def test_no_shape_is_hidden_so_far_that_its_class_can_not_be_seen() -> None:
    for number in range(20):
        _, counts = np.unique(render_scene(number).label, return_counts=True)
        assert counts.min() > 30


def test_every_sample_is_a_jpeg_with_a_palette_png(tmp_path: Path) -> None:
    assert make_demo_dataset(tmp_path / "demo", SMALL) == 6
    lists = tmp_path / "demo/ImageSets/Segmentation"
    names = [(lists / f"{split}.txt").read_text().split() for split in ("train", "val")]
    assert [len(part) for part in names] == [4, 2]
    assert not set(names[0]) & set(names[1])
    for name in names[0] + names[1]:
        image = Image.open(tmp_path / f"demo/JPEGImages/{name}.jpg")
        label = Image.open(tmp_path / f"demo/SegmentationClass/{name}.png")
        assert (image.format, label.format, label.mode) == ("JPEG", "PNG", "P")
        assert image.size == label.size
        scene = render_scene(int(name[-5:]))
        np.testing.assert_array_equal(np.asarray(label), scene.label)
        assert np.abs(np.asarray(image, float) - scene.image).mean() < 12
    shown = np.asarray(label.convert("RGB"))
    np.testing.assert_array_equal(shown[scene.label == 0][0], DEMO_PALETTE[0])


def test_a_finished_data_set_is_left_untouched(tmp_path: Path) -> None:
    make_demo_dataset(tmp_path, SMALL)
    before = snapshot(tmp_path)
    assert make_demo_dataset(tmp_path, SMALL) == 0
    assert snapshot(tmp_path) == before


def test_an_interrupted_data_set_is_completed_without_touching_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = render_scene

    def interrupted(number: int, **keys: int) -> object:
        if number == 3:
            raise KeyboardInterrupt
        return original(number, **keys)

    monkeypatch.setattr(demo_dataset, "render_scene", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make_demo_dataset(tmp_path, SMALL)
    assert not list((tmp_path / "ImageSets/Segmentation").iterdir())
    assert not (tmp_path / "demo.json").exists()
    (tmp_path / "JPEGImages/.scene_00003.jpg.1.partial").write_bytes(b"killed while writing")
    before = snapshot(tmp_path / "SegmentationClass")
    monkeypatch.undo()
    assert make_demo_dataset(tmp_path, SMALL) == 3
    after = snapshot(tmp_path / "SegmentationClass")
    assert {name: after[name] for name in before} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "ImageSets",
        "JPEGImages",
        "SegmentationClass",
        "demo.json",
    ]
    assert len(list((tmp_path / "JPEGImages").iterdir())) == 6


def test_a_lost_file_is_rendered_again(tmp_path: Path) -> None:
    make_demo_dataset(tmp_path, SMALL)
    lost = tmp_path / "SegmentationClass/scene_00001.png"
    content = lost.read_bytes()
    lost.unlink()
    assert make_demo_dataset(tmp_path, SMALL) == 1
    assert lost.read_bytes() == content


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    before = snapshot(tmp_path)
    with pytest.raises(DatasetError, match="holds files that are not a demo data set"):
        make_demo_dataset(tmp_path, SMALL)
    with pytest.raises(DatasetError, match="nothing was deleted"):
        demo_dataset.remove_demo_dataset(tmp_path)
    assert snapshot(tmp_path) == before


def test_another_specification_is_refused_with_both(tmp_path: Path) -> None:
    make_demo_dataset(tmp_path, SMALL)
    with pytest.raises(DatasetError, match=r"train=4, .*, not with DemoSpec\(train=5,.*--force"):
        make_demo_dataset(tmp_path, DemoSpec(train=5, val=2))


def test_a_marker_that_is_no_marker_is_named(tmp_path: Path) -> None:
    (tmp_path / "demo.json").write_text("{}")
    with pytest.raises(DatasetError, match=r"demo\.json does not describe a demo data set"):
        make_demo_dataset(tmp_path, SMALL)


def test_the_config_names_the_classes_and_colours_of_the_scenes() -> None:
    cfg = Config.fromfile(CONFIG)
    for split in ("train", "val", "test"):
        metainfo = cfg[f"{split}_dataloader"].dataset.metainfo
        assert tuple(metainfo.classes) == DEMO_CLASSES
        assert [tuple(colour) for colour in metainfo.palette] == list(DEMO_PALETTE)
    assert cfg.model.decode_head.num_classes == len(DEMO_CLASSES)


def test_the_command_renders_then_leaves_alone_then_replaces_by_force(
    tmp_path: Path, tool: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "demo")
    tool.main([out, "--train", "2", "--val", "1"])
    captured = capsys.readouterr()
    assert "rendered 3 scenes; 2 to train on, 1 held out" in captured.out
    assert "rendering: 100 % (3 of 3 scenes)" in captured.err
    tool.main([out, "--train", "2", "--val", "1"])
    assert "finished already, left untouched" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="error: .*--force"):
        tool.main([out, "--train", "1", "--val", "1"])
    tool.main([out, "--train", "1", "--val", "1", "--force"])
    assert json.loads((tmp_path / "demo/demo.json").read_text())["spec"]["train"] == 1
    assert len(list((tmp_path / "demo/JPEGImages").iterdir())) == 2


def test_force_deletes_nothing_where_there_are_other_files_too(tmp_path: Path) -> None:
    make_demo_dataset(tmp_path, SMALL)
    (tmp_path / "notes.txt").write_text("mine")
    before = snapshot(tmp_path)
    with pytest.raises(DatasetError, match=r"other files too \(notes\.txt\); nothing was deleted"):
        demo_dataset.remove_demo_dataset(tmp_path)
    assert snapshot(tmp_path) == before
