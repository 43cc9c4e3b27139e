"""The colours that label maps and overlays give to the classes of a segmentor."""

from __future__ import annotations

from typing import Any, Mapping

import numpy as np
from mmengine.config import Config

from mmseg_deeplab_ext.config_view import dataset_class, leaf_datasets
from mmseg_deeplab_ext.conversion.dataset_meta import class_names_and_colours
from mmseg_deeplab_ext.datasets.label_png import voc_colormap
from mmseg_deeplab_ext.errors import ConfigError


def class_colours(cfg: Config, meta: Mapping[str, Any], *, num_classes: int) -> np.ndarray:
    """Colours of all 256 values: the checkpoint's, or the test data set's, or the number's usual.

    Palettes for another number of classes, at least 2, are passed over. Returns (256, 3), uint8;
    row = index of a class.
    """
    if num_classes > 256:
        raise ConfigError(f"The model has {num_classes} classes; a label map of 8 bits holds 256.")
    known = [
        (meta.get("dataset_meta") or {}).get("palette"),
        meta.get("PALETTE"),  # MMSegmentation 0.x
        _palette_of_data_set(cfg),
        class_names_and_colours(num_classes)["palette"],
    ]
    colours = voc_colormap()
    colours[:num_classes] = next(each for each in known if each and len(each) == num_classes)
    return colours


def _palette_of_data_set(cfg: Config) -> Any:
    loader = cfg.get("test_dataloader")
    if not loader:
        return None
    leaf = next(leaf_datasets(loader["dataset"]))
    declared = (leaf.get("metainfo") or {}).get("palette")
    return declared or getattr(dataset_class(leaf), "METAINFO", {}).get("palette")
