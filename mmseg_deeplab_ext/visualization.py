"""One picture of a segmentation run: image, ground truth and prediction side by side."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Mapping, Sequence, TypeVar

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image

from mmseg_deeplab_ext.config_view import DatasetView
from mmseg_deeplab_ext.errors import DatasetError

# In inches of 100 pixels: between the pictures of a sample, between samples, and for a class.
_GAP, _COLUMN_GAP, _LEGEND_WIDTH = 0.06, 0.26, 1.2
_COLOURS = 256  # of a PNG file with a palette
_IGNORED = (224, 224, 192)
"""Colour of pixels that do not count: Pascal VOC's."""
_HEADINGS = ("image", "ground truth", "prediction")

Item = TypeVar("Item")


@dataclass(frozen=True)
class Sample:
    """The files of one sample.

    Attributes:
        image: The picture.
        label: The ground truth.
        prediction: As `IoUMetric` writes it (``tools/test.py --out``): the index of the class,
            counted from 1 where the data set has ``reduce_zero_label``.
    """

    image: Path
    label: Path
    prediction: Path

    @classmethod
    def of(cls, image: Path, label: Path, predictions: Path) -> Sample:
        """That of an image, with `IoUMetric`'s name of its file in the folder of predictions."""
        return cls(image, label, predictions / f"{image.stem}.png")

    def check(self) -> None:
        """Demand all three files; else a `DatasetError`."""
        for path in vars(self).values():
            if not path.is_file():
                raise DatasetError(f"{path} is missing; the contact sheet needs it.")


@dataclass(frozen=True)
class ClassColours:
    """The classes of a data set and how to show them.

    Attributes:
        names: Class names in the order of their indices.
        palette: Red, green and blue of each class.
        reduce_zero_label: Whether label files count the classes from 1; 0 is then ignored.
        label_map: Value in a label file (counted from 0) -> index of the class, or 255, where the
            data set takes some of its classes only.
    """

    names: Sequence[str]
    palette: Sequence[Sequence[int]]
    reduce_zero_label: bool = False
    label_map: Mapping[int, int] | None = None

    def paint(self, path: Path, *, predicted: bool = False) -> Image.Image:
        """Read a label map, of the ground truth or a predicted one, and show its classes' colours.

        Raises:
            DatasetError: A value is neither a class nor ignored.
        """
        label = np.asarray(Image.open(path))
        first = int(self.reduce_zero_label)
        indices = {number: number for number in range(len(self.names))}
        if self.label_map and not predicted:
            indices = dict(self.label_map)
        colours = np.full((256, 3), _IGNORED, dtype=np.uint8)
        for value, index in indices.items():
            if index < len(self.palette):
                colours[first + value] = self.palette[index]
        allowed = {255, *range(first), *(first + value for value in indices)}
        wrong = sorted(set(np.unique(label).tolist()) - allowed)
        if wrong:
            raise DatasetError(
                f"{path}: values {wrong} are none of the {len(self.names)} classes nor ignored."
            )
        return Image.fromarray(colours[label])


def configured_samples(
    datasets: Sequence[DatasetView], predictions: Path
) -> tuple[list[Sample], ClassColours]:
    """The samples of a config's data sets, one or several parts of the same, and their classes.

    Args:
        datasets: The data sets; their files are there.
        predictions: The folder that ``tools/test.py --out`` has filled.

    Raises:
        DatasetError: There are none, or they name no classes or no label maps.
    """
    if not datasets:
        raise DatasetError("the config has no test_dataloader, whose data set is to be shown.")
    files = [sample for dataset in datasets for sample in dataset.samples]
    meta = datasets[0].listing.metainfo
    if not meta.get("classes"):
        raise DatasetError(f"{datasets[0]} names no classes: give it metainfo=dict(classes=...).")
    if not all(file.get("seg_map_path") for file in files):
        raise DatasetError(f"{datasets[0]} has no label maps; the contact sheet shows them.")
    samples = [Sample.of(Path(f["img_path"]), Path(f["seg_map_path"]), predictions) for f in files]
    keys = ("palette", "reduce_zero_label", "label_map")
    return samples, ClassColours(meta["classes"], **{key: meta[key] for key in keys})


def contact_sheet(
    samples: Sequence[Sample],
    *,
    classes: ClassColours,
    title: str = "",
    columns: int = 2,
    panel_width: int = 150,
) -> Image.Image:
    """Draw image, ground truth and prediction of some samples, with a legend of the classes.

    Args:
        samples: Those to show, row by row.
        classes: Their classes.
        title: Text above the pictures.
        columns: Samples in a row.
        panel_width: Width of each picture in pixels.

    Returns:
        The sheet, with at most 256 colours, so that its PNG file is small.

    Raises:
        DatasetError: A file is missing, or a label map has a value that is no class.
    """
    # With a figure of one inch its coordinates are inches. The sheet is all that is drawn on it.
    figure = Figure(figsize=(1, 1), dpi=100)
    figure.text(0, 0.4, title, fontsize=13)
    width, top = panel_width / 100, 0.0
    right = min(columns, len(samples)) * (3 * width + 2 * _GAP + _COLUMN_GAP)
    for start in range(0, len(samples), columns):
        heights, left = [], 0.0
        for sample in samples[start : start + columns]:
            sample.check()
            pictures = [
                Image.open(sample.image).convert("RGB"),
                classes.paint(sample.label),
                classes.paint(sample.prediction, predicted=True),
            ]
            heights.append(width * pictures[0].height / pictures[0].width)
            for picture, heading in zip(pictures, _HEADINGS):
                axes = figure.add_axes((left, -top - heights[-1], width, heights[-1]))
                axes.imshow(picture, aspect="auto")
                axes.axis("off")
                axes.set_title(heading if start == 0 else "", loc="left", fontsize=10)
                left += width + _GAP
            left += _COLUMN_GAP - _GAP
        top += max(heights) + _GAP
    figure.legend(
        handles=[
            Patch(color=np.divide(colour, 255), label=name)
            for name, colour in zip(classes.names, classes.palette)
        ],
        **dict(loc="upper left", bbox_to_anchor=(0, -top - _GAP), borderpad=0, borderaxespad=0),
        **dict(frameon=False, fontsize=10, handlelength=1, handleheight=1, handletextpad=0.5),
        ncol=max(1, int(right / _LEGEND_WIDTH)),
    )
    with io.BytesIO() as file:
        figure.savefig(file, dpi=figure.dpi, bbox_inches="tight", pad_inches=0.14)
        sheet = Image.open(file).convert("RGB")
    return _few_colours(sheet, kept=classes.palette[: _COLOURS // 2])


def _few_colours(picture: Image.Image, *, kept: Sequence[Sequence[int]]) -> Image.Image:
    """Reduce a picture to 256 colours, some of them given: median cut would merge rare ones."""
    others = _COLOURS - len(kept)
    chosen = picture.quantize(others, method=Image.Quantize.MEDIANCUT).getpalette()[: 3 * others]
    palette = Image.new("P", (1, 1))
    palette.putpalette([*(int(part) for colour in kept for part in colour), *chosen])
    return picture.quantize(palette=palette, dither=Image.Dither.NONE)


def evenly_chosen(items: Sequence[Item], count: int) -> list[Item]:
    """Choose items spread evenly over a list, the same ones every time."""
    count = min(count, len(items))
    return [items[position * len(items) // count] for position in range(count)]


def read_miou(place: Path) -> float:
    """Find the mIoU that a test run has written.

    Args:
        place: The JSON file, or a work directory, whose newest file with an mIoU is taken.

    Returns:
        The mIoU in percent, as MMSegmentation states it.

    Raises:
        DatasetError: There is none.
    """
    files = sorted(place.rglob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in files if place.is_dir() else [place]:
        try:
            metrics = json.loads(path.read_text())
        except (OSError, ValueError):
            continue  # A log of one object per line, for one; the metrics file is another one.
        if isinstance(metrics, dict) and "mIoU" in metrics:
            return float(metrics["mIoU"])
    raise DatasetError(f"{place} holds no JSON file with an mIoU, such as tools/test.py writes.")
