"""The colours of classes: of the checkpoint, else of the data set, else of their number."""

import numpy as np
import pytest
from mmengine.config import Config

from mmseg_deeplab_ext.datasets.label_png import voc_colormap
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.prediction.colours import class_colours

MINE = [[9, 9, 9], [1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(
    "meta", [{"dataset_meta": {"palette": MINE}}, {"PALETTE": MINE}], ids=["1.x", "0.x"]
)
def test_a_checkpoints_colours_come_first_and_the_rest_is_pascal_vocs(meta):
    colours = class_colours(Config(), meta, num_classes=3)
    assert colours[:3].tolist() == MINE
    assert np.array_equal(colours[3:], voc_colormap()[3:])


def test_colours_of_another_number_of_classes_are_passed_over():
    assert np.array_equal(class_colours(Config(), {"PALETTE": MINE}, num_classes=4), voc_colormap())


def test_more_classes_than_a_label_map_holds_are_refused():
    with pytest.raises(ConfigError, match="has 257 classes; a label map of 8 bits holds 256"):
        class_colours(Config(), {}, num_classes=257)
