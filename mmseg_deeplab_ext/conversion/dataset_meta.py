"""Which data set a number of classes stands for, and the names and colours of its classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mmseg.utils import get_classes, get_palette

from mmseg_deeplab_ext.datasets.label_png import voc_colormap
from mmseg_deeplab_ext.specs.network import NetworkSpec

CLASSES_BY_NUMBER = "classes_by_number"
"""Key of ``meta``: the class names are a guess from the number of classes."""


@dataclass(frozen=True)
class TrainedOn:
    """A data set of the model zoo.

    Attributes:
        alias: MMSegmentation's short name of it.
        base: its config in ``configs/_base_/datasets``.
        eval_crop_size: height and width that whole images are padded to in the official
            evaluation; the training crops are in ``base``.
        background: whether channel 0 stands for pixels that are in none of the classes.
    """

    alias: str
    base: str
    eval_crop_size: tuple[int, int]
    background: bool = False


# data_generator.py (numbers of classes), g3doc/{pascal,cityscapes,ade20k}.md (crops).
DATA_SETS = {
    21: TrainedOn("voc", "pascal_voc12", (513, 513)),
    19: TrainedOn("cityscapes", "cityscapes", (1025, 2049)),
    150: TrainedOn("ade", "ade20k", (513, 513)),
    # The official ADE20K labels are not shifted: 0 is "none of the 150", ignored in training.
    151: TrainedOn("ade", "ade20k", (513, 513), background=True),
}
"""Number of classes -> data set."""
UNKNOWN = TrainedOn("", "pascal_voc12", (513, 513))
"""Of any other number: the user's own, in folders like VOC's."""


def class_names_and_colours(num_classes: int) -> dict[str, list]:
    """Names and colours for MMSegmentation's ``dataset_meta``; plain lists.

    Args:
        num_classes: number of classes. Where it stands for none of the zoo's data sets, the names
            are numbers and the colours Pascal VOC's 256, over and over.
    """
    data_set = DATA_SETS.get(num_classes)
    if data_set is None:
        colours = voc_colormap().tolist()
        return {
            "classes": [f"class {number}" for number in range(num_classes)],
            "palette": [colours[number % len(colours)] for number in range(num_classes)],
        }
    return {
        "classes": ["other"] * data_set.background + list(get_classes(data_set.alias)),
        "palette": [[0, 0, 0]] * data_set.background
        + [list(colour) for colour in get_palette(data_set.alias)],
    }


def checkpoint_meta(network: NetworkSpec, *, from_zoo: bool = False) -> dict[str, Any]:
    """What goes into ``meta`` of a checkpoint: ``dataset_meta``, where there are classes.

    TensorFlow's checkpoints name no classes. Only of those in the zoo the number tells them for
    certain; the others get ``classes_by_number=True``.
    """
    if network.head is None or network.head.num_classes is None:
        return {}
    return meta_of_classes(network.head.num_classes, certain=from_zoo)


def meta_of_classes(num_classes: int, *, certain: bool = False) -> dict[str, Any]:
    """``dataset_meta`` of a number of classes, and whether the number is all that is known."""
    meta: dict[str, Any] = {"dataset_meta": class_names_and_colours(num_classes)}
    return meta if certain else {**meta, CLASSES_BY_NUMBER: True}
