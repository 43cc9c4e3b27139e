"""TensorFlow's resize_to_range: which size an image gets."""

import pytest
import torch

from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.layers.resize_range import ResizeRange
from tests.support.preprocess_goldens import golden


def size(height, width, *limits):
    return ResizeRange(*limits).size(torch.tensor([height, width])).tolist()


def test_the_72_official_sizes_are_tensorflows():
    cases = golden("resize_to_range_h_w_min_max_factor_outh_outw").tolist()
    assert len(cases) == 72
    for height, width, *limits, out_height, out_width in cases:
        limits = [None if limit == -1 else limit for limit in limits]
        assert size(height, width, *limits) == [out_height, out_width], (height, width, limits)


def test_the_longer_side_is_limited_to_the_largest_multiple_of_the_factor_plus_one():
    # 31 * 16 + 1 = 497 is the largest such length within 512.
    assert size(512, 1024, 513, 512, 16) == [257, 497]  # 512 * 497 / 1024 = 248.5, up to 257
    assert size(500, 500, 500, 512, 16) == [497, 497]  # 500 is within 512, but not within 497
    assert size(490, 490, 490, 512, 16) == [497, 497]  # within both, up to 497


def test_a_side_that_would_vanish_keeps_one_pixel():
    assert size(1, 1000, 513, 500) == [1, 500]
    assert size(1, 1000, 513, 513, 16) == [1, 513]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0,), "scale is 0; expected a whole number of at least 1."),
        ((None,), "scale is None"),
        (((513, 513),), r"scale is \(513, 513\)"),
        ((513, 513.5), "max_size is 513.5.*or None"),
        ((513, None, -16), "factor is -16"),
        ((9, 16, 16), "raise max_size to at least 17"),
    ],
)
def test_impossible_sizes_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        ResizeRange(*values)
