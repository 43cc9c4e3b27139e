"""TensorFlow's nearest-neighbour resize with aligned corners."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from mmseg_deeplab_ext.datasets import aligned_resize
from mmseg_deeplab_ext.layers.nearest_resize import resize_nearest
from tests.support.golden_files import FULL


@pytest.mark.parametrize(
    ("old", "new"),
    [((65, 97), (17, 25)), ((64, 96), (33, 48)), ((5, 7), (17, 25)), ((9, 13), (1, 1))],
)
def test_corners_stay_corners_and_halves_go_up(old, new):
    rows, columns = (
        [
            int(Fraction((n_old - 1) * i, max(n_new - 1, 1)) + Fraction(1, 2)) if n_new > 1 else 0
            for i in range(n_new)
        ]
        for n_old, n_new in zip(old, new)
    )
    x = torch.arange(2 * old[0] * old[1]).reshape(2, *old)
    assert torch.equal(resize_nearest(x, new), x[:, rows][:, :, columns])


def test_it_takes_the_same_neighbours_as_the_data_pipeline():
    for old in range(1, 60):
        row = torch.arange(old).reshape(1, old)
        for new in range(1, 60):
            expected = aligned_resize.resize_nearest(row.numpy(), (1, new))
            assert resize_nearest(row, (1, new)).tolist() == expected.tolist(), (old, new)


def test_the_sizes_of_another_image_can_be_put_into_its_trace():
    def resized(labels, like):
        return resize_nearest(labels, like.shape[-2:])

    labels, like = torch.arange(20).reshape(4, 5), torch.zeros(7, 9)
    traced = torch.jit.trace(resized, (labels, like))
    labels, like = torch.arange(42).reshape(6, 7), torch.zeros(3, 17)
    assert torch.equal(traced(labels, like), resize_nearest(labels, (3, 17)))


def test_it_equals_tensorflow_on_every_golden_size():
    path = FULL / "aux_resize.npz"
    if not path.exists():
        pytest.skip("the full golden files are not at hand")
    with np.load(path) as arrays:
        cases = [name[len("nn_in_") :] for name in arrays.files if name.startswith("nn_in_")]
        assert cases
        for case in cases:
            x, expected = (arrays[f"nn_{end}_{case}"][..., 0] for end in ("in", "out"))
            ours = resize_nearest(torch.from_numpy(x), expected.shape[1:])
            assert np.array_equal(ours.numpy(), expected), case
