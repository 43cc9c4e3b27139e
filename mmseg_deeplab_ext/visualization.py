"""One picture of a segmentation run: image, ground truth and prediction side by side."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mmseg_deeplab_ext.errors import DatasetError

_GAP = 6
_COLUMN_GAP = 26
_MARGIN = 14
_LINE = 24
_SWATCH = 14
_COLOURS = 256  # of a PNG file with a palette
_PAPER, _INK = (255, 255, 255), (40, 44, 52)
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
    strips = [_strip(folders.paths(name), classes, width=panel_width) for name in names]
    parts = [_texts([(0, title)], size=18)] if title else []
    strip_width = 3 * panel_width + 2 * _GAP
    headings = [
        (column * (strip_width + _COLUMN_GAP) + position * (panel_width + _GAP), heading)
        for column in range(min(columns, len(strips)))
        for position, heading in enumerate(_HEADINGS)
    ]
    parts.append(_texts(headings, size=14))
    for start in range(0, len(strips), columns):
        parts.append(_beside(strips[start : start + columns], gap=_COLUMN_GAP))
    width = max(part.width for part in parts)
    parts.append(_legend(classes, width=width))
    sheet = Image.new(
        "RGB",
        (width + 2 * _MARGIN, sum(part.height + _GAP for part in parts) + 2 * _MARGIN),
        _PAPER,
    )
    y = _MARGIN
    for part in parts:
        sheet.paste(part, (_MARGIN, y))
        y += part.height + _GAP
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


def _strip(paths: tuple[Path, Path, Path], classes: ClassColours, *, width: int) -> Image.Image:
    """One sample's three pictures side by side, each of the given width."""
    image_path, *label_paths = paths
    pictures = [Image.open(image_path).convert("RGB"), *map(classes.paint, label_paths)]
    height = round(width * pictures[0].height / pictures[0].width)
    return _beside([picture.resize((width, height), Image.LANCZOS) for picture in pictures])


def _beside(pictures: Sequence[Image.Image], *, gap: int = _GAP) -> Image.Image:
    """Pictures in a row, aligned at the top."""
    width = sum(picture.width + gap for picture in pictures) - gap
    row = Image.new("RGB", (width, max(picture.height for picture in pictures)), _PAPER)
    x = 0
    for picture in pictures:
        row.paste(picture, (x, 0))
        x += picture.width + gap
    return row


def _font(size: int) -> ImageFont.ImageFont:
    try:
        return ImageFont.load_default(size)
    except TypeError:  # Pillow before 10.1 has one size only
        return ImageFont.load_default()


def _texts(places: Sequence[tuple[int, str]], *, size: int) -> Image.Image:
    """A line with texts starting at the given columns of pixels."""
    font = _font(size)
    line = Image.new("RGB", (round(max(x + font.getlength(text) for x, text in places)), _LINE))
    draw = ImageDraw.Draw(line)
    draw.rectangle((0, 0, *line.size), fill=_PAPER)
    for x, text in places:
        draw.text((x, _LINE // 2), text, fill=_INK, font=font, anchor="lm")
    return line


def _legend(classes: ClassColours, *, width: int) -> Image.Image:
    """Colour and name of every class, in as many lines as they need."""
    entries = []
    for name, colour in zip(classes.names, classes.palette):
        text = _texts([(_SWATCH + 6, name)], size=14)
        top = (_LINE - _SWATCH) // 2
        box = (0, top, _SWATCH, top + _SWATCH)
        ImageDraw.Draw(text).rectangle(box, fill=tuple(colour))
        entries.append(text)
    lines: list[list[Image.Image]] = [[]]
    used = 0
    for entry in entries:
        if lines[-1] and used + entry.width > width:
            lines.append([])
            used = 0
        lines[-1].append(entry)
        used += entry.width + 3 * _GAP
    legend = Image.new("RGB", (width, _LINE * len(lines)), _PAPER)
    for number, line in enumerate(lines):
        legend.paste(_beside(line, gap=3 * _GAP), (0, number * _LINE))
    return legend
