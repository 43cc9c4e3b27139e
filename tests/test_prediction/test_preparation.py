"""What the preparation of an image knows about files."""

import io

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image

from mmseg_deeplab_ext.errors import UnreadableImageError
from mmseg_deeplab_ext.prediction.preparation import Preparation, Prepared


def jpeg(size):
    noise = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "image",
    [
        np.full((2, 3), 7, np.uint8),
        np.full((2, 3, 1), 7, np.uint8),
        np.full((2, 3, 3), 7.4, np.float32),
    ],
    ids=["grey", "grey with an axis", "floats"],
)
def test_whatever_form_an_image_was_loaded_in_overlays_get_rgb_of_8_bits(image):
    rgb = Prepared(None, None, image).rgb()
    assert rgb.dtype == np.uint8
    assert np.array_equal(rgb, np.full((2, 3, 3), 7))


def test_overlays_get_red_first():
    bgr = np.zeros((1, 1, 3), np.uint8)
    bgr[0, 0] = 1, 2, 3
    assert Prepared(None, None, bgr).rgb().tolist() == [[[3, 2, 1]]]


STEPS = [dict(type="LoadImageFromFile"), dict(type="PackSegInputs")]


def reason(path, *, steps=STEPS):
    """Why a file can't be prepared."""
    init_default_scope("mmseg")
    with pytest.raises(UnreadableImageError) as caught:
        Preparation(Config(dict(test_pipeline=steps)))(path)
    return str(caught.value)


@pytest.mark.parametrize(
    "loader", ["LoadImageFromFile", "mmseg_deeplab_ext.CheckedLoadImageFromFile"]
)
def test_a_file_that_cannot_be_read_has_a_short_reason(tmp_path, loader):
    contents = {
        "empty": b"",
        "text": b"no image",
        "cut": jpeg(64)[:999],
        "film": b"\0\0\0\x20ftypisom" + bytes(99),
        # A header of 16 gigapixels, more than OpenCV allows.
        "vast": b"P6 131072 131072 255\n" + bytes(9),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    steps = [dict(type=loader), *STEPS[1:]]
    found = {name: reason(tmp_path / name, steps=steps) for name in (*contents, "absent")}
    assert found == {
        "empty": "the file is empty",
        "text": "damaged, or no format that OpenCV reads",
        "cut": "the JPEG file is cut off",
        "film": "it is a video; make pictures of it first: ffmpeg -i FILE frames/%06d.png",
        "vast": "OpenCV refuses it (pixels <= CV_IO_MAX_IMAGE_PIXELS)",
        "absent": "No such file or directory",
    }


def test_16_bits_that_a_camera_did_not_fill_are_told_instead_of_predicted_as_black(tmp_path):
    deep = np.full((8, 8), 1000, np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    assert "16 bits but end at 1000" in reason(tmp_path / "deep.png")


def test_another_decoders_reason_is_given_without_the_path(tmp_path):
    (tmp_path / "text").write_text("no image")
    steps = [dict(type="LoadImageFromFile", imdecode_backend="pillow"), *STEPS[1:]]
    assert reason(tmp_path / "text", steps=steps).startswith(
        "it can't be decoded (UnidentifiedImageError: cannot identify image file"
    )


def test_a_step_that_fails_on_one_image_is_told_with_its_error(tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg(8))
    steps = [STEPS[0], dict(type="Resize", scale_factor=0.01), STEPS[1]]
    assert reason(tmp_path / "a.jpg", steps=steps).startswith("the test pipeline fails on it (")


def test_labels_return_to_the_size_of_the_file_also_where_the_evaluation_compares_resized_ones(
    tmp_path,
):
    (tmp_path / "a.jpg").write_bytes(jpeg(40))
    init_default_scope("mmseg")
    resize = dict(type="mmseg_deeplab_ext.ResizeToRange", scale=65, as_original=True)
    steps = [dict(type="LoadImageFromFile"), resize, dict(type="PackSegInputs")]
    prepared = Preparation(Config(dict(test_pipeline=steps)))(tmp_path / "a.jpg")
    assert prepared.inputs.shape == (3, 65, 65)
    assert prepared.sample.ori_shape == (40, 40)
