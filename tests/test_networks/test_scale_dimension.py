"""Scaled sizes equal TensorFlow's."""

import pytest

from mmseg_deeplab_ext.layers.scale_dimension import scale_dimension, scale_size
from tests.support.evaluation_goldens import stored

GOLDEN = stored("aux_scale_dimension")
FACTORS = {  # name in the golden file -> scale
    key: 1 / int(key[5:]) if key.startswith("py_1_") else float(key[3:])
    for key in GOLDEN
    if key.startswith("py_")
}


@pytest.mark.parametrize("key", FACTORS)
def test_every_size_is_scaled_as_tensorflow_does(key):
    ours = [scale_dimension(int(dim), FACTORS[key]) for dim in GOLDEN["dims"]]
    assert ours == GOLDEN[key].tolist()


def test_height_and_width_are_scaled_each_for_itself():
    assert scale_size((1025, 2049), 1 / 16) == (65, 129)
