"""What is checked before anything is built: a config's data sets, and its numbers of classes."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any, Sequence

import pytest
from mmengine.config import Config

from mmseg_deeplab_ext.config_view import ConfigView
from mmseg_deeplab_ext.datasets.demo_dataset import DemoSpec, make_demo_dataset
from mmseg_deeplab_ext.datasets.demo_scenes import DEMO_CLASSES, DEMO_PALETTE
from mmseg_deeplab_ext.errors import ConfigError, DatasetError
from mmseg_deeplab_ext.launch.checks.before_start import check_config
from mmseg_deeplab_ext.launch.checks.class_counts import problems_of_class_counts
from tests.support.voc_layout import write_list, write_sample, write_voc_folder

PIPELINE = [{"type": "LoadImageFromFile"}, {"type": "LoadAnnotations"}]


@pytest.fixture
def voc_folder(tmp_path: Path) -> Path:
    return write_voc_folder(tmp_path / "VOCdevkit" / "VOC2012")


def voc(root: Path, *, split: str = "train", labels: str = "SegmentationClass") -> dict[str, Any]:
    return {
        "type": "PascalVOCDataset",
        "data_root": str(root),
        "data_prefix": {"img_path": "JPEGImages", "seg_map_path": labels},
        "ann_file": f"ImageSets/Segmentation/{split}.txt",
        "pipeline": PIPELINE,
    }


def config(**datasets: Any) -> Config:
    return Config({f"{name}_dataloader": {"dataset": part} for name, part in datasets.items()})


def check(cfg: Config, splits: Sequence[str] = ("train", "val")) -> dict[str, int]:
    """Check a config; returns how many samples each split has, for those that can be counted."""
    view = ConfigView.of(cfg, splits=splits)
    check_config(view)
    samples: dict[str, int] = {}
    for part in view.datasets:
        if part.is_local:
            samples[part.split] = samples.get(part.split, 0) + len(part.samples)
    return samples


def with_model(cfg: Config, **heads: Any) -> Config:
    cfg.model = {"type": "EncoderDecoder", **heads}
    return cfg


def test_complete_data_sets_are_counted(voc_folder: Path) -> None:
    aug = voc(voc_folder, split="aug", labels="SegmentationClassAug")
    train = {"type": "ConcatDataset", "datasets": [voc(voc_folder), aug]}
    cfg = config(train=train, val=voc(voc_folder, split="val"))
    assert check(cfg) == {"train": 3, "val": 1}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda one: {"type": "RepeatDataset", "times": 3, "dataset": one},
        lambda one: {"type": "ConcatDataset", "datasets": [one]},
        lambda one: {
            "type": "MultiImageMixDataset",
            "pipeline": [],
            "dataset": {"type": "ConcatDataset", "datasets": [one]},
        },
    ],
)
def test_missing_files_are_found_inside_wrappers(voc_folder: Path, wrap: Any) -> None:
    (voc_folder / "JPEGImages/b.jpg").unlink()
    with pytest.raises(DatasetError, match=r"1 of 4 files are missing: .*b\.jpg"):
        check(config(train=wrap(voc(voc_folder))))


def test_a_missing_root_is_named_with_the_command_that_brings_it(tmp_path: Path) -> None:
    root = tmp_path / "VOCdevkit" / "VOC2012"
    with pytest.raises(DatasetError) as caught:
        check(config(train=voc(root), val=voc(root, split="val")))
    message = str(caught.value)
    assert f"train_dataloader (PascalVOCDataset in {root}): the folder {root} is missing" in message
    assert "val_dataloader" in message
    assert message.endswith(f"\n  python tools/dataset_converters/prepare_voc.py {root.parent}")
    assert message.count("prepare_voc.py") == 1


def test_missing_lists_and_folders_are_named_instead_of_a_bare_assertion(voc_folder: Path) -> None:
    (voc_folder / "ImageSets/Segmentation/train.txt").unlink()
    with pytest.raises(DatasetError, match=r"missing are .*Segmentation/train\.txt\."):
        check(config(train=voc(voc_folder)))
    with pytest.raises(DatasetError, match="missing are .*/Labels"):
        check(config(val=voc(voc_folder, split="val", labels="Labels")))


def test_many_missing_files_are_counted_and_a_few_are_named(voc_folder: Path) -> None:
    write_list(voc_folder, "train", [f"no{number}" for number in range(9)])
    with pytest.raises(DatasetError, match="18 of 18 files are missing.* and 13 more"):
        check(config(train=voc(voc_folder)))


def test_an_empty_list_is_an_error(voc_folder: Path) -> None:
    write_list(voc_folder, "train", [])
    with pytest.raises(DatasetError, match="it has no samples"):
        check(config(train=voc(voc_folder)))


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"\xef\xbb\xbfa\nb\n", "is UTF-8 with a byte-order mark: save it as UTF-8 without one"),
        ("a\nb\n".encode("utf-16"), "is UTF-16 with a byte-order mark"),
        (b"a\nstra\xdfe\n", r"is not encoded in UTF-8 \(line 2\)"),
    ],
)
def test_a_list_in_another_encoding_is_named(voc_folder: Path, content: bytes, wanted: str) -> None:
    path = voc_folder / "ImageSets/Segmentation/train.txt"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=rf"train_dataloader .*train\.txt {wanted}"):
        check(config(train=voc(voc_folder)))
    part = {**voc(voc_folder, split="val"), "metainfo": {"classes": str(path)}}
    if b"\xdf" in content:
        with pytest.raises(ConfigError, match="is not a text file in UTF-8 with a class a line"):
            check(with_model(config(val=part), decode_head={"num_classes": 2}))


def test_labels_that_are_loaded_from_nowhere_are_named(voc_folder: Path) -> None:
    part = voc(voc_folder)
    part["data_prefix"] = {"img_path": "JPEGImages"}
    with pytest.raises(DatasetError, match="loads labels, but data_prefix has no seg_map_path"):
        check(config(train={**part, "type": "BaseSegDataset"}))


def test_what_a_data_set_refuses_is_no_traceback(voc_folder: Path) -> None:
    part = {**voc(voc_folder), "metainfo": {"classes": ("cat", "unicorn")}}
    with pytest.raises(ConfigError, match="train_dataloader.dataset can't be built: .*unicorn"):
        check(config(train=part))


def test_a_link_that_leads_nowhere_counts_as_missing(voc_folder: Path) -> None:
    (voc_folder / "JPEGImages/b.jpg").unlink()
    (voc_folder / "JPEGImages/b.jpg").symlink_to("gone.jpg")
    with pytest.raises(DatasetError, match=r"b\.jpg"):
        check(config(train=voc(voc_folder)))


def test_only_the_named_splits_are_checked(voc_folder: Path, tmp_path: Path) -> None:
    cfg = config(train=voc(tmp_path / "absent"), test=voc(voc_folder, split="val"))
    assert check(cfg, splits=("test",)) == {"test": 1}
    with pytest.raises(ConfigError, match="unknown split 'tset'; allowed are train, val, test"):
        check(cfg, splits=("tset",))


def test_labels_are_demanded_only_where_the_pipeline_loads_them(voc_folder: Path) -> None:
    (voc_folder / "SegmentationClass/c.png").unlink()
    part = voc(voc_folder, split="val")
    with pytest.raises(DatasetError, match=r"SegmentationClass/c\.png"):
        check(config(test=part), splits=("test",))
    part["pipeline"] = PIPELINE[:1]
    assert check(config(test=part), splits=("test",)) == {"test": 1}


def test_labels_loaded_inside_test_time_augmentation_are_demanded(voc_folder: Path) -> None:
    (voc_folder / "SegmentationClass/c.png").unlink()
    part = voc(voc_folder, split="val")
    part["pipeline"] = [{"type": "TestTimeAug", "transforms": [[PIPELINE[0]], [PIPELINE[1]]]}]
    with pytest.raises(DatasetError, match=r"SegmentationClass/c\.png"):
        check(config(test=part), splits=("test",))


def test_only_the_samples_that_indices_select_are_demanded(voc_folder: Path) -> None:
    (voc_folder / "JPEGImages/b.jpg").unlink()
    assert check(config(train={**voc(voc_folder), "indices": 1})) == {"train": 1}


def test_remote_storage_is_left_to_its_backend() -> None:
    part = {**voc(Path("bucket")), "backend_args": {"backend": "petrel"}}
    assert check(config(train=part)) == {}


def test_a_missing_demo_data_set_names_its_generator(tmp_path: Path) -> None:
    part = {
        "type": "BaseSegDataset",
        "metainfo": {"classes": DEMO_CLASSES, "palette": DEMO_PALETTE},
        "data_root": str(tmp_path / "demo"),
        "data_prefix": {"img_path": "JPEGImages", "seg_map_path": "SegmentationClass"},
        "ann_file": "ImageSets/Segmentation/train.txt",
        "pipeline": PIPELINE,
    }
    with pytest.raises(DatasetError, match=f"tools/make_demo_dataset.py {tmp_path}/demo"):
        check(config(train=part))
    make_demo_dataset(tmp_path / "demo", DemoSpec(train=2, val=1))
    assert check(config(train=part)) == {"train": 2}


def test_the_command_can_be_typed_in_another_folder_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "my data" / "VOC2012"
    with pytest.raises(DatasetError) as caught:
        check(config(train=voc(root)))
    python, tool, folder = shlex.split(str(caught.value).splitlines()[-1])
    assert python == "python"
    assert Path(tool).is_file()
    assert tool.endswith("/prepare_voc.py")
    assert folder == str(root.parent)


def test_missing_labels_of_coco_name_their_converter(tmp_path: Path) -> None:
    part = dict(Config.fromfile("configs/_base_/datasets/coco_as_voc.py").train_dataloader.dataset)
    part["data_root"] = str(tmp_path / "coco")
    command = f"tools/dataset_converters/coco_as_voc.py {tmp_path}/coco --split train2017$"
    with pytest.raises(DatasetError, match=command):
        check(config(train=part))


@pytest.mark.parametrize("kind", ["CityscapesDataset", "ADE20KDataset"])
def test_other_data_sets_lead_to_the_documentation(tmp_path: Path, kind: str) -> None:
    part = {"type": kind, "data_root": str(tmp_path / "no"), "data_prefix": {"img_path": "x"}}
    with pytest.raises(DatasetError, match=f"{kind}: as described in https://mmsegmentation"):
        check(config(train=part))


def test_cityscapes_names_are_matched_as_its_class_does(tmp_path: Path) -> None:
    city = tmp_path / "leftImg8bit/train/aachen"
    city.mkdir(parents=True)
    write_sample(tmp_path, "x")
    (tmp_path / "JPEGImages/x.jpg").rename(city / "aachen_0_leftImg8bit.png")
    (tmp_path / "gtFine/train").mkdir(parents=True)
    part = {
        "type": "CityscapesDataset",
        "data_root": str(tmp_path),
        "data_prefix": {"img_path": "leftImg8bit/train", "seg_map_path": "gtFine/train"},
        "pipeline": PIPELINE,
    }
    with pytest.raises(DatasetError, match="1 of 2 files .*/aachen_0_gtFine_labelTrainIds.png"):
        check(config(train=part))


def test_an_unknown_data_set_type_is_named() -> None:
    with pytest.raises(ConfigError, match="'NoSuchDataset' is in no registry"):
        check(config(train={"type": "NoSuchDataset"}))
    with pytest.raises(ConfigError, match="a data set with the keys data_root has no `type`"):
        check(config(train={"data_root": "x"}))
    with pytest.raises(ConfigError, match="train_dataloader has no `dataset`"):
        check(Config({"train_dataloader": {"batch_size": 2}}))


def test_equal_class_counts_pass(voc_folder: Path) -> None:
    heads = {"decode_head": {"num_classes": 21}, "auxiliary_head": [{"num_classes": 21}]}
    check(with_model(config(train=voc(voc_folder)), **heads))


def test_a_head_with_another_class_count_is_named_with_the_key_to_change(voc_folder: Path) -> None:
    heads = {"decode_head": [{"num_classes": 21}, {"num_classes": 19}], "auxiliary_head": {}}
    cfg = with_model(config(train=voc(voc_folder), val=voc(voc_folder, split="val")), **heads)
    with pytest.raises(ConfigError) as caught:
        check(cfg)
    first, second = str(caught.value).splitlines()
    assert first.startswith("model.decode_head[1].num_classes is 19, but PascalVOCDataset in ")
    assert "has 21 classes: set model.decode_head[1].num_classes to 21" in first
    assert "val_dataloader" in second


def test_the_heads_inside_a_test_time_augmentation_wrapper_are_checked(voc_folder: Path) -> None:
    cfg = config(test=voc(voc_folder))
    cfg.model = {"type": "SegTTAModel", "module": {"decode_head": {"num_classes": 2}}}
    with pytest.raises(ConfigError, match=r"model\.module\.decode_head\.num_classes is 2"):
        check(cfg, splits=("test",))


def test_boundaries_that_a_head_makes_itself_are_no_classes_of_the_data(voc_folder: Path) -> None:
    heads = {
        "decode_head": {"num_classes": 21},
        "auxiliary_head": [{"type": "STDCHead", "num_classes": 2, "boundary_threshold": 0.1}],
    }
    cfg = with_model(config(train=voc(voc_folder)), **heads)
    assert problems_of_class_counts(ConfigView.of(cfg)) == []


def test_a_selection_of_classes_counts_as_many_as_it_selects(voc_folder: Path) -> None:
    part = {**voc(voc_folder), "metainfo": {"classes": ("cat", "dog")}}
    cfg = with_model(config(train=part), decode_head={"num_classes": 21})
    with pytest.raises(ConfigError, match="has 2 classes"):
        check(cfg)


def test_a_label_check_with_another_class_count_is_named(voc_folder: Path) -> None:
    part = voc(voc_folder)
    step = {"type": "mmseg_deeplab_ext.CheckedLoadAnnotations", "num_classes": 19}
    part["pipeline"] = [PIPELINE[0], step]
    cfg = with_model(config(train=part), decode_head={"num_classes": 21})
    with pytest.raises(ConfigError, match=r"CheckedLoadAnnotations \(train pipeline\) is 19"):
        check(cfg)


def test_looking_at_a_config_changes_nothing_of_it(voc_folder: Path) -> None:
    cfg = with_model(config(train=voc(voc_folder)), decode_head={"num_classes": 21})
    before = cfg.to_dict()
    check(cfg)
    assert cfg.to_dict() == before


def test_labels_that_are_loaded_after_the_geometry_stop_a_run(voc_folder: Path) -> None:
    part = {**voc(voc_folder), "pipeline": [PIPELINE[0], {"type": "RandomFlip"}, PIPELINE[1]]}
    with pytest.raises(ConfigError, match="RandomFlip before LoadAnnotations changes the image"):
        check(config(train=part))
    check(config(test=part), splits=("test",))
