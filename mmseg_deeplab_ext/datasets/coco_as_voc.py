"""COCO's instances as label maps of Pascal VOC's 21 classes, to train on before VOC itself.

::

    ROOT/annotations/instances_train2017.json   read
    ROOT/train2017/*.jpg                        stay where they are
    ROOT/voc_labels/train2017/*.png             label maps
    ROOT/voc_labels/train2017.txt               their names, written last: what is there is finished

Which images and pixels, after the DeepLabv3 paper (arXiv:1706.05587, section 4) and torchvision
(``references/segmentation/coco_utils.py``):

- 20 of COCO's 80 categories are VOC's classes (``COCO_NAMES``); all else is background, 0.
- Where objects overlap, the smaller one is on top (a bottle on a table); of two of the same area,
  the one whose id is larger. torchvision ignores all pixels where objects overlap.
- Regions that are marked as a crowd are ignored, 255, but for the objects inside that have an
  outline of their own. torchvision takes a crowd for an object.
- An image is left out if the areas of its objects of those categories, as the annotations state
  them, add up to no more than 1,000 pixels. A crowd's counts for torchvision, and not here.
"""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator

import numpy as np

from mmseg_deeplab_ext.atomic_files import remove_leftovers, write_atomically
from mmseg_deeplab_ext.datasets.label_png import IGNORE_LABEL, encode_label_png, voc_colormap
from mmseg_deeplab_ext.datasets.voc import read_list
from mmseg_deeplab_ext.errors import DatasetError, EnvironmentNotReadyError
from mmseg_deeplab_ext.progress import ProgressLine
from mmseg_deeplab_ext.wording import listed

COCO_NAMES = (
    *("airplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("dining table", "dog", "horse", "motorcycle", "person", "potted plant", "sheep", "couch"),
    *("train", "tv"),
)
"""COCO's names of VOC's classes 1 to 20, in VOC's order."""

LABELS = "voc_labels"
"""The folder of label maps and lists, beside COCO's images and annotations."""
_LEAST_AREA = 1000
_URL = "http://images.cocodataset.org"


@dataclass(frozen=True)
class CocoReport:
    """What `convert_coco` found and did.

    Attributes:
        names: The list of the images that have a label map.
        converted: How many those are.
        left_out: How many of the annotated images have too few pixels of VOC's classes; None where
            the annotations were not read.
    """

    names: Path
    converted: int
    left_out: int | None


@dataclass(frozen=True)
class _Image:
    """An image to convert: its name, and its objects in the order in which they are drawn."""

    name: str
    shape: tuple[int, int]
    objects: list[dict[str, Any]]


def convert_coco(root: Path, *, split: str = "train2017") -> CocoReport:
    """Write the label maps of a split; those that are there are left untouched.

    A conversion that was interrupted goes on where it was.

    Args:
        root: COCO's folder.
        split: Name of the images' folder, and part of the name of the annotations' file.

    Returns:
        What was found and done.

    Raises:
        DatasetError: The annotations are none of COCO's instances, or files are missing.
        EnvironmentNotReadyError: pycocotools is not installed.
    """
    names, labels = root / LABELS / f"{split}.txt", root / LABELS / split
    if names.exists():
        found = read_list(names)
        _demand(found, labels, ".png", f"Remove {names} and run again to have them drawn")
        return CocoReport(names, len(found), None)
    path = root / "annotations" / f"instances_{split}.json"
    coco = _read(path)
    images = list(_chosen(coco, _labels_of_categories(coco, path), path))
    if not images:
        raise DatasetError(f"{path} has no image with more than {_LEAST_AREA} pixels of a class.")
    advice = f"COCO's images of 2017 are in {_URL}/zips/{split}.zip"
    _demand([image.name for image in images], root / split, ".jpg", advice)
    labels.mkdir(parents=True, exist_ok=True)
    remove_leftovers(labels)
    colours = voc_colormap()
    progress = ProgressLine(f"converting {split}", total=len(images), unit="images")
    for image in images:
        target = labels / f"{image.name}.png"
        if not target.exists():
            write_atomically(target, encode_label_png(_label_map(coco, image, path), colours))
        progress.advance()
    write_atomically(names, "".join(f"{image.name}\n" for image in images).encode())
    return CocoReport(names, len(images), len(coco.imgs) - len(images))


def _demand(names: list[str], folder: Path, ending: str, advice: str) -> None:
    """Demand a file for each name."""
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    missing = [name + ending for name in names if name + ending not in there]
    if missing:
        raise DatasetError(
            f"{folder} lacks {len(missing)} of {len(names)} files: {listed(missing, most=5)}. "
            f"{advice}."
        )


def _read(path: Path) -> Any:
    """Read an annotation file with pycocotools."""
    try:
        from pycocotools.coco import COCO
    except ImportError as error:
        raise EnvironmentNotReadyError(
            'reading COCO\'s annotations needs pycocotools: pip install "mmseg-deeplab-ext[coco]"'
        ) from error
    if not path.is_file():
        raise DatasetError(
            f"{path} is missing. COCO's annotations of 2017 are in "
            f"{_URL}/annotations/annotations_trainval2017.zip"
        )
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it tells how long it takes
            return COCO(str(path))
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise DatasetError(f"{path} is no annotation file of COCO's ({error!r}).") from error


def _labels_of_categories(coco: Any, path: Path) -> dict[int, int]:
    """Ids of COCO's categories -> VOC's labels."""
    labels = {name: label for label, name in enumerate(COCO_NAMES, start=1)}
    found = {number: category.get("name") for number, category in coco.cats.items()}
    missing = [name for name in COCO_NAMES if name not in found.values()]
    if missing:
        raise DatasetError(
            f"{path} lacks the categories {listed(missing)}; expected COCO's instances_*.json."
        )
    return {number: labels[name] for number, name in found.items() if name in labels}


def _chosen(coco: Any, labels: dict[int, int], path: Path) -> Iterator[_Image]:
    """The images that have enough pixels of VOC's classes."""
    try:
        for number, image in sorted(coco.imgs.items()):
            objects = [
                {
                    **each,
                    "label": IGNORE_LABEL if each.get("iscrowd") else labels[each["category_id"]],
                }
                for each in coco.imgToAnns.get(number, ())
                if each["category_id"] in labels
            ]
            area = sum(each["area"] for each in objects if each["label"] != IGNORE_LABEL)
            if area > _LEAST_AREA:
                objects.sort(key=_order)
                shape = image["height"], image["width"]
                yield _Image(_name(image["file_name"], path), shape, objects)
    except (KeyError, TypeError) as error:
        raise DatasetError(f"{path} has no instances as COCO has them ({error!r}).") from error


def _order(each: dict[str, Any]) -> tuple:
    """Crowds are drawn first, then the objects from the largest to the smallest."""
    return each["label"] != IGNORE_LABEL, -each["area"], each["id"]


def _name(file_name: str, path: Path) -> str:
    """The name of an image without its ending; no path, since a file is written under it."""
    name = Path(file_name)
    if name.name != file_name or name.suffix != ".jpg":
        raise DatasetError(f"{path} names the image {file_name!r}; expected a plain name.jpg.")
    return name.stem


def _label_map(coco: Any, image: _Image, path: Path) -> np.ndarray:
    """Draw an image's objects: (height, width), uint8."""
    try:
        label = np.zeros(image.shape, np.uint8)
        for each in image.objects:
            label[coco.annToMask(each).astype(bool)] = each["label"]
    except Exception as error:  # pycocotools raises whatever it likes, plain Exceptions, too
        raise DatasetError(
            f"{path}: the objects of {image.name} can't be drawn ({error!r})."
        ) from error
    return label
