"""One picture of a segmentation run: image, ground truth and prediction side by side."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image

from mmseg_deeplab_ext.errors import DatasetError

# In inches of 100 pixels: between the pictures of a sample, between samples, and for a class.
_GAP, _COLUMN_GAP, _LEGEND_WIDTH = 0.06, 0.26, 1.2
_COLOURS = 256  # of a PNG file with a palette
_IGNORED = (224, 224, 192)
"""Colour of pixels that do not count: Pascal VOC's."""
_HEADINGS = ("image", "ground truth", "prediction")


@dataclass(frozen=True)
class SampleFolders:
    """Where the three pictures of a sample are.

    Attributes:
        images: Folder of ``<name>.jpg``.
        labels: Folder of ``<name>.png``, the ground truth.
        predictions: Folder of ``<name>.png``, as `IoUMetric` writes them (``tools/test.py --out``):
            the labels' values, that is, counted from 1 where the data set has
            ``reduce_zero_label``.
    """

    images: Path
    labels: Path
    predictions: Path

    def paths(self, name: str) -> tuple[Path, Path, Path]:
        """Return the paths of one sample's image, ground truth and prediction.

        Raises:
            DatasetError: One of them is missing.
        """
        label = f"{name}.png"
        paths = (self.images / f"{name}.jpg", self.labels / label, self.predictions / label)
        for path in paths:
            if not path.exists():
                raise DatasetError(f"{path} is missing; the contact sheet needs it.")
        return paths


@dataclass(frozen=True)
class ClassColours:
    """The classes of a data set and how to show them.

    Attributes:
        names: Class names in the order of their indices.
        palette: Red, green and blue of each class.
        reduce_zero_label: Whether label files count the classes from 1; 0 is then ignored.
    """

    names: Sequence[str]
    palette: Sequence[Sequence[int]]
    reduce_zero_label: bool = False

    def paint(self, path: Path) -> Image.Image:
        """Read a label map and show its classes' colours.

        Raises:
            DatasetError: A value is neither a class nor ignored.
        """
        label = np.asarray(Image.open(path))
        first = int(self.reduce_zero_label)
        colours = np.full((256, 3), _IGNORED, dtype=np.uint8)
        colours[first : first + len(self.palette)] = self.palette
        allowed = {255, *range(first + len(self.names))}
        wrong = sorted(set(np.unique(label).tolist()) - allowed)
        if wrong:
            raise DatasetError(
                f"{path}: values {wrong} are none of the {len(self.names)} classes nor ignored."
            )
        return Image.fromarray(colours[label])


def contact_sheet(
    names: Sequence[str],
    folders: SampleFolders,
    *,
    classes: ClassColours,
    title: str = "",
    columns: int = 2,
    panel_width: int = 150,
) -> Image.Image:
    """Draw image, ground truth and prediction of some samples, with a legend of the classes.

    Args:
        names: Samples to show, row by row.
        folders: Where their files are.
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
    right = min(columns, len(names)) * (3 * width + 2 * _GAP + _COLUMN_GAP)
    for start in range(0, len(names), columns):
        heights, left = [], 0.0
        for name in names[start : start + columns]:
            image, *labels = folders.paths(name)
            pictures = [Image.open(image).convert("RGB"), *map(classes.paint, labels)]
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


def evenly_chosen(names: Sequence[str], count: int) -> list[str]:
    """Choose samples spread evenly over a list, the same ones every time."""
    count = min(count, len(names))
    return [names[position * len(names) // count] for position in range(count)]


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
