"""The colours that label maps and overlays give to the classes of a segmentor."""

from __future__ import annotations

from typing import Any, Mapping

import numpy as np
from mmengine.config import Config

from mmseg_deeplab_ext.config_view import metainfo
from mmseg_deeplab_ext.conversion.dataset_meta import class_names_and_colours
from mmseg_deeplab_ext.datasets.label_png import voc_colormap
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.inference.config import test_dataset


def class_colours(cfg: Config, meta: Mapping[str, Any], *, num_classes: int) -> np.ndarray:
    """Colours of all 256 values: the checkpoint's, or the test data set's, or the number's usual.

    Palettes for another number of classes, at least 2, are passed over. Returns (256, 3), uint8;
    row = index of a class.
    """
    if num_classes > 256:
        raise ConfigError(f"The model has {num_classes} classes; a label map of 8 bits holds 256.")
    leaf = test_dataset(cfg)
    known = [
        (meta.get("dataset_meta") or {}).get("palette"),
        meta.get("PALETTE"),  # MMSegmentation 0.x
        leaf and metainfo(leaf, "palette"),
        class_names_and_colours(num_classes)["palette"],
    ]
    colours = voc_colormap()
    colours[:num_classes] = next(each for each in known if each and len(each) == num_classes)
    return colours
