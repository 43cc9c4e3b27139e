"""Resizing with aligned corners: TensorFlow's values, to the last bit."""

import numpy as np
import pytest

from mmseg_deeplab_ext.datasets.aligned_resize import resize_bilinear, resize_nearest
from tests.data.make_preprocess_goldens import RESIZES
from tests.support.preprocess_goldens import golden, largest_difference, shape


@pytest.mark.parametrize("size", RESIZES)
def test_images_equal_tensorflows_to_the_last_bit(size):
    name = f"bil_out_{size}"
    resized = resize_bilinear(golden(f"bil_in_{size}"), shape(name)[:2])
    assert resized.dtype == np.float32
    assert largest_difference(name, resized) == 0


@pytest.mark.parametrize("size", RESIZES)
def test_labels_equal_tensorflows(size):
    name = f"nn_out_{size}"
    labels = golden(f"nn_in_{size}").astype(np.uint8)
    resized = resize_nearest(labels, shape(name)[:2])
    assert resized.dtype == np.uint8
    assert largest_difference(name, resized) == 0


def test_the_nearest_label_of_a_position_halfway_is_the_later_one():
    # Positions 0, 0.5, 1, 1.5, 2: rounding to even would give 0 0 1 2 2.
    labels = np.arange(3, dtype=np.uint8)[None]
    assert resize_nearest(labels, (1, 5)).tolist() == [[0, 1, 1, 2, 2]]


@pytest.mark.parametrize("channels", [(), (1,), (3,), (4,), (5,), (12,)])
def test_any_number_of_channels_is_resized_channel_by_channel(channels):
    image = np.random.default_rng(0).integers(0, 256, (13, 17, *channels), dtype=np.uint8)
    resized = resize_bilinear(image, (29, 8))
    assert resized.shape == (29, 8, *channels)
    planes = image.reshape(13, 17, -1)
    for channel in range(planes.shape[2]):
        alone = resize_bilinear(planes[..., channel], (29, 8))
        assert np.array_equal(resized.reshape(29, 8, -1)[..., channel], alone)


def test_large_images_equal_the_definition_across_the_blocks_they_are_made_in():
    image = np.random.default_rng(0).normal(size=(150, 700, 3)).astype(np.float32)
    resized = resize_bilinear(image, (451, 900))
    rows, columns = (
        np.arange(new) * (old - 1) / (new - 1) for new, old in ((451, 150), (900, 700))
    )
    expected = np.zeros((451, 900, 3))
    for row_end in (0, 1):
        for column_end in (0, 1):
            y = np.minimum(rows.astype(int) + row_end, 149)
            x = np.minimum(columns.astype(int) + column_end, 699)
            weight_y = rows % 1 if row_end else 1 - rows % 1
            weight_x = columns % 1 if column_end else 1 - columns % 1
            weights = weight_y[:, None, None] * weight_x[None, :, None]
            expected += weights * image[y][:, x].astype(np.float64)
    # float32 positions up to 700 are known to about 6e-5 of a pixel.
    assert np.abs(resized - expected).max() < 4e-4


def test_images_that_are_not_contiguous_are_resized_too():
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    mirrored = image[:, ::-1]
    expected = resize_bilinear(np.ascontiguousarray(mirrored), (31, 41))
    assert np.array_equal(resize_bilinear(mirrored, (31, 41)), expected)


@pytest.mark.parametrize("window", [(slice(0, 9), slice(30, 64)), (slice(57, 58), slice(0, 1))])
@pytest.mark.parametrize("size", [(58, 64), (17, 97), (150, 67)])
def test_a_window_is_that_part_of_the_whole_to_the_last_bit(window, size):
    rows, columns = window
    window = (slice(min(rows.start, size[0] - 1), min(rows.stop, size[0])), columns)
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (58, 64, 3), dtype=np.uint8)
    assert np.array_equal(
        resize_bilinear(image, size, window=window), resize_bilinear(image, size)[window]
    )
    labels = image[..., 0]
    assert np.array_equal(
        resize_nearest(labels, size, window=window), resize_nearest(labels, size)[window]
    )
