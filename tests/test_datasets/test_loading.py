"""The checked loading transforms: the host's results on good data, named errors on bad data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mmcv.transforms
import mmseg.datasets.transforms
import numpy as np
import pytest
import torch
from mmengine.dataset import Compose
from mmseg.datasets import BaseSegDataset
from PIL import Image

from mmseg_deeplab_ext.datasets.loading import CheckedLoadAnnotations, CheckedLoadImageFromFile
from mmseg_deeplab_ext.errors import ConfigError, DatasetError
from mmseg_deeplab_ext.registry import TRANSFORMS

LABEL = np.array([[0, 1, 2, 3], [255, 4, 5, 0], [1, 1, 1, 255]], dtype=np.uint8)


def sample(folder: Path, label: np.ndarray | Image.Image | None = None, **keys: Any) -> dict:
    """A sample whose label map is written to a file."""
    path = folder / "label.png"
    if label is not None:
        (label if isinstance(label, Image.Image) else Image.fromarray(label)).save(path)
    return {
        "seg_map_path": str(path),
        "reduce_zero_label": False,
        "label_map": None,
        "seg_fields": [],
        **keys,
    }


def palette_image(label: np.ndarray) -> Image.Image:
    picture = Image.fromarray(label)
    picture.putpalette(list(range(256)) * 3)
    return picture


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA", "P"])
def test_images_of_every_mode_load_as_with_mmcv(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "image.png"
    pixels = np.random.default_rng(0).integers(0, 256, (7, 5, 4), dtype=np.uint8)
    Image.fromarray(pixels).convert("RGB").convert(mode).save(path)
    ours = CheckedLoadImageFromFile()({"img_path": str(path)})
    host = mmcv.transforms.LoadImageFromFile()({"img_path": str(path)})
    assert ours.keys() == host.keys()
    np.testing.assert_array_equal(ours["img"], host["img"])
    assert ours["ori_shape"] == (7, 5)


@pytest.mark.parametrize("content", [b"", b"not an image", None])
def test_an_unreadable_image_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "broken.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"broken\.jpg: this image can't be read"):
        CheckedLoadImageFromFile()({"img_path": str(path)})


def test_an_unreadable_image_is_skipped_where_the_config_says_so(tmp_path: Path) -> None:
    load = CheckedLoadImageFromFile(ignore_empty=True)
    assert load({"img_path": str(tmp_path / "absent.jpg")}) is None


@pytest.mark.parametrize("reduce_zero_label", [False, True])
@pytest.mark.parametrize("label_map", [None, {0: 0, 1: 255, 2: 1, 3: 2, 4: 255, 5: 0}])
@pytest.mark.parametrize("as_palette", [False, True])
def test_labels_load_as_with_mmseg(
    tmp_path: Path, reduce_zero_label: bool, label_map: dict | None, as_palette: bool
) -> None:
    label = palette_image(LABEL) if as_palette else LABEL
    keys = {"reduce_zero_label": reduce_zero_label, "label_map": label_map}
    ours = CheckedLoadAnnotations(num_classes=6)(sample(tmp_path, label, **keys))
    host = mmseg.datasets.transforms.LoadAnnotations()(sample(tmp_path, **keys))
    assert ours.keys() == host.keys()
    assert ours["seg_fields"] == host["seg_fields"]
    assert ours["gt_seg_map"].dtype == host["gt_seg_map"].dtype == np.uint8
    np.testing.assert_array_equal(ours["gt_seg_map"], host["gt_seg_map"])


@pytest.mark.parametrize("dtype", [np.bool_, np.uint16])
def test_label_maps_of_other_whole_number_types_are_read(tmp_path: Path, dtype: type) -> None:
    label = (LABEL % 2).astype(dtype)
    loaded = CheckedLoadAnnotations(num_classes=2)(sample(tmp_path, label))["gt_seg_map"]
    np.testing.assert_array_equal(loaded, LABEL % 2)
    assert loaded.dtype == np.uint8


@pytest.mark.parametrize("backend", ["pillow", "cv2"])
@pytest.mark.parametrize("size", [(1, 1), (1, 4), (4, 1)])
def test_label_maps_of_a_single_row_or_column_are_read(
    tmp_path: Path, size: tuple[int, int], backend: str
) -> None:
    label = np.ones(size, np.uint8)
    load = CheckedLoadAnnotations(num_classes=2, imdecode_backend=backend)
    loaded = load(sample(tmp_path, label, ori_shape=size))["gt_seg_map"]
    np.testing.assert_array_equal(loaded, label)


def test_an_axis_of_one_channel_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmcv.imfrombytes", lambda *args, **kwargs: np.ones((1, 4, 1), np.uint8))
    loaded = CheckedLoadAnnotations(num_classes=2)(sample(tmp_path, LABEL))["gt_seg_map"]
    assert loaded.shape == (1, 4)


def test_a_label_beyond_the_classes_is_named_with_the_allowed_values(tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        CheckedLoadAnnotations(num_classes=4)(sample(tmp_path, LABEL))
    message = str(caught.value)
    assert "label.png: label values 4, 5 are none of the 4 classes" in message
    assert "0 to 3, and 255 for pixels to ignore" in message


def test_another_ignore_index_is_allowed_and_255_then_is_not(tmp_path: Path) -> None:
    load = CheckedLoadAnnotations(num_classes=6, ignore_index=200)
    load(sample(tmp_path, np.where(LABEL == 255, 200, LABEL).astype(np.uint8)))
    with pytest.raises(DatasetError, match="label values 255 are none"):
        load(sample(tmp_path, LABEL))


def test_a_reduced_label_is_named_as_stored_and_as_understood(tmp_path: Path) -> None:
    load = CheckedLoadAnnotations(num_classes=4)
    with pytest.raises(DatasetError, match=r"label values 5 \(which becomes 4\) are none"):
        load(sample(tmp_path, LABEL, reduce_zero_label=True))


def test_many_wrong_values_are_counted_not_listed(tmp_path: Path) -> None:
    label = np.arange(20, dtype=np.uint8).reshape(4, 5)
    with pytest.raises(DatasetError, match="2, 3, 4, 5, 6, 7, 8, 9 and 10 more"):
        CheckedLoadAnnotations(num_classes=2)(sample(tmp_path, label))


def test_a_16_bit_label_beyond_255_is_refused_instead_of_wrapping_round(tmp_path: Path) -> None:
    label = LABEL.astype(np.uint16) + 256
    assert (
        mmseg.datasets.transforms.LoadAnnotations()(sample(tmp_path, label))["gt_seg_map"].max()
        == 255
    )  # the host reads class 256 as class 0
    with pytest.raises(DatasetError, match="go from 256 to 511"):
        CheckedLoadAnnotations(num_classes=6)(sample(tmp_path, label))


def test_a_label_in_colours_is_refused_with_its_shape(tmp_path: Path) -> None:
    colours = palette_image(LABEL).convert("RGB")
    with pytest.raises(DatasetError, match=r"one whole number per pixel.*shape \(3, 4, 3\)"):
        CheckedLoadAnnotations(num_classes=6)(sample(tmp_path, colours))


def test_a_palette_label_read_as_colours_by_opencv_gets_the_advice(tmp_path: Path) -> None:
    load = CheckedLoadAnnotations(num_classes=6, imdecode_backend="cv2")
    with pytest.raises(DatasetError, match="imdecode_backend='cv2' turns palette images"):
        load(sample(tmp_path, palette_image(LABEL)))


def test_a_label_of_floats_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "label.tif"
    Image.fromarray(LABEL.astype(np.float32)).save(path)
    with pytest.raises(DatasetError, match="type float32"):
        CheckedLoadAnnotations(num_classes=6)(sample(tmp_path, seg_map_path=str(path)))


def test_a_label_of_another_size_than_its_image_is_refused_with_both(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="label map is 4x3 .* image is 5x3"):
        CheckedLoadAnnotations(num_classes=6)(sample(tmp_path, LABEL, ori_shape=(3, 5)))


def test_the_size_is_compared_with_the_image_before_resizing(tmp_path: Path) -> None:
    image = tmp_path / "image.png"
    Image.new("RGB", (4, 3)).save(image)
    steps = [
        CheckedLoadImageFromFile(),
        mmcv.transforms.Resize(scale_factor=3.0),
        CheckedLoadAnnotations(num_classes=6),
    ]
    results = Compose(steps)(sample(tmp_path, LABEL, img_path=str(image)))
    assert results["img"].shape[:2] == (9, 12)
    assert results["gt_seg_map"].shape == (3, 4)


def test_a_cut_off_image_is_named_whatever_the_decoder_makes_of_it(tmp_path: Path) -> None:
    path = tmp_path / "cut.jpg"
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    path.write_bytes(path.read_bytes()[:-99])
    with pytest.raises(DatasetError, match=r"cut\.jpg: .* \(the JPEG file is cut off\)"):
        CheckedLoadImageFromFile()({"img_path": str(path)})
    assert CheckedLoadImageFromFile(ignore_empty=True)({"img_path": str(path)}) is None


@pytest.mark.parametrize(("suffix", "lossy"), [("jpg", "JPEG"), ("webp", "lossy WebP")])
def test_a_label_in_a_lossy_format_is_refused(tmp_path: Path, suffix: str, lossy: str) -> None:
    path = tmp_path / f"label.{suffix}"
    Image.new("L", (4, 3)).save(path)
    with pytest.raises(DatasetError, match=rf"a lossy format \({lossy}\).*again from its source"):
        CheckedLoadAnnotations(num_classes=6)(sample(tmp_path, seg_map_path=str(path)))


@pytest.mark.parametrize("orientation", [1, 6])
def test_an_image_that_exif_turns_is_named_as_the_cause(tmp_path: Path, orientation: int) -> None:
    image, exif = tmp_path / "image.jpg", Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (4, 3) if orientation == 6 else (3, 4)).save(image, exif=exif)
    steps = [CheckedLoadImageFromFile(), CheckedLoadAnnotations(num_classes=6)]
    with pytest.raises(DatasetError, match="label map is 4x3 .* image is 3x4") as caught:
        Compose(steps)(sample(tmp_path, LABEL, img_path=str(image)))
    cure = "EXIF orientation 6 turns" if orientation == 6 else "make it again from the image"
    assert cure in str(caught.value)
    if orientation == 6:
        steps[0] = CheckedLoadImageFromFile(color_type="color_ignore_orientation")
        Compose(steps)(sample(tmp_path, LABEL, img_path=str(image)))


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n cut off", None])
def test_an_unreadable_label_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "label.png").write_bytes(content)
    with pytest.raises(DatasetError, match=r"label\.png: this label map can't be read"):
        CheckedLoadAnnotations(num_classes=6)(sample(tmp_path))


@pytest.mark.parametrize("num_classes", [0, 257])
def test_an_impossible_number_of_classes_is_refused(num_classes: int) -> None:
    with pytest.raises(ConfigError, match=f"num_classes is {num_classes}.*1 to 256"):
        CheckedLoadAnnotations(num_classes=num_classes)


def test_reduce_zero_label_against_the_data_set_is_refused(tmp_path: Path) -> None:
    load = CheckedLoadAnnotations(num_classes=6)
    load(sample(tmp_path, LABEL))
    with pytest.raises(ConfigError, match="reduce_zero_label is False .* and True"):
        load(sample(tmp_path, LABEL, reduce_zero_label=True))


def test_the_error_reaches_the_training_process_from_a_worker(voc_folder: Path) -> None:
    dataset = BaseSegDataset(
        data_root=str(voc_folder),
        data_prefix={"img_path": "JPEGImages", "seg_map_path": "SegmentationClass"},
        ann_file="ImageSets/Segmentation/train.txt",
        metainfo={"classes": ("one", "two")},
    )
    for name, keys in (
        ("CheckedLoadImageFromFile", {}),
        ("CheckedLoadAnnotations", {"num_classes": 2}),
    ):
        kind = f"mmseg_deeplab_ext.{name}"
        dataset.pipeline.transforms.append(TRANSFORMS.build({"type": kind, **keys}))
    loader = torch.utils.data.DataLoader(dataset, num_workers=1, collate_fn=list)
    with pytest.raises(DatasetError, match=r"a\.png: label values 2 are none of the 2 classes"):
        next(iter(loader))
