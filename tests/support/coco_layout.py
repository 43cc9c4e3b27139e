"""Tiny data sets in the layout of COCO: images of 120 x 100 pixels with squares for objects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Mapping, Sequence

import numpy as np
from PIL import Image

from mmseg_deeplab_ext.datasets.coco_as_voc import COCO_NAMES

NAMES = ("giraffe", *reversed(COCO_NAMES))
"""Of the categories; their ids are 10 and every third number after it."""


def square(name: str, left: int, top: int, *, side: int) -> dict[str, Any]:
    """An object without its id and image."""
    right, bottom = left + side, top + side
    return {
        "category_id": 10 + 3 * NAMES.index(name),
        "iscrowd": 0,
        "area": side * side,
        "segmentation": [[left, top, right, top, right, bottom, left, bottom]],
    }


def instances(images: Mapping[str, Sequence[dict[str, Any]]]) -> dict[str, Any]:
    """The content of an annotation file: name of an image -> its objects."""
    objects = [dict(each, image_id=i) for i, name in enumerate(images) for each in images[name]]
    return {
        "images": [
            {"id": i, "file_name": f"{name}.jpg", "height": 100, "width": 120}
            for i, name in enumerate(images)
        ],
        "annotations": [dict(each, id=number) for number, each in enumerate(objects, start=1)],
        "categories": [{"id": 10 + 3 * i, "name": name} for i, name in enumerate(NAMES)],
    }


def write_coco_folder(
    root: Path, images: Mapping[str, Sequence[dict[str, Any]]], *, split: str = "train2017"
) -> None:
    """Write annotations and images."""
    for folder in ("annotations", split):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / f"annotations/instances_{split}.json").write_text(json.dumps(instances(images)))
    pixels = np.random.default_rng(0).integers(0, 256, (100, 120, 3), dtype=np.uint8)
    for name in images:
        Image.fromarray(pixels).save(root / split / f"{name}.jpg")
