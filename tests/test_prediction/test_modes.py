"""Which crop a config's images are predicted with, and when there is none."""

import pytest
from mmengine.config import Config

from mmseg_deeplab_ext.inference.config import crop_of, network_size, padded_size
from mmseg_deeplab_ext.prediction.modes import use_mode


def config(test_cfg=None, padding=None, size=None):
    preprocessor = {"size": size, "test_cfg": padding}
    return Config({"model": {"test_cfg": test_cfg, "data_preprocessor": preprocessor}})


WINDOW = {"mode": "slide", "crop_size": (65, 65)}
STOCK = {"test_cfg": {"mode": "whole"}, "size": (97, 97)}
OURS = {**STOCK, "padding": {"size": (129, 129)}}


@pytest.mark.parametrize(
    ("values", "padded", "crop", "network"),
    [
        (STOCK, None, None, (97, 97)),
        (OURS, (129, 129), (129, 129), (129, 129)),
        ({**OURS, "test_cfg": WINDOW}, (129, 129), (65, 65), (65, 65)),
        ({**STOCK, "padding": {"size_divisor": 32}}, None, None, (97, 97)),
        ({}, None, None, None),
    ],
    ids=["stock", "ours", "window", "divisor", "none"],
)
def test_the_training_crop_is_no_crop_of_the_evaluation(values, padded, crop, network):
    cfg = config(**values)
    assert (padded_size(cfg), crop_of(cfg), network_size(cfg)) == (padded, crop, network)


@pytest.mark.parametrize("values", [{}, {"data_preprocessor": None}])
def test_a_model_without_a_preprocessor_names_no_crop(values):
    assert network_size(Config({"model": values})) is None


@pytest.mark.parametrize(
    ("values", "mode", "crop"),
    [
        (STOCK, "whole", None),
        (STOCK, None, None),
        (STOCK, "slide", (97, 97)),
        (STOCK, "resize", (97, 97)),
        (OURS, "whole", (129, 129)),
        (OURS, "resize", (129, 129)),
        ({**STOCK, "test_cfg": WINDOW}, None, (65, 65)),
        ({**STOCK, "test_cfg": WINDOW}, "whole", None),
    ],
)
def test_a_mode_leaves_the_crop_that_it_predicts_with(values, mode, crop):
    cfg = config(**values)
    use_mode(cfg, mode)
    assert crop_of(cfg) == crop
