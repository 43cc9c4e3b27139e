"""What the counts of label values say: classes that nothing can teach, and the likely mistake."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Iterator, Sequence

import numpy as np

from mmseg_deeplab_ext.datasets.loading import exif_cure
from mmseg_deeplab_ext.wording import listed

_MOSTLY = 0.9
"""Share of ignored pixels from which on they are doubted."""

_SOME = 0.001
"""Share of ignored pixels that a border around the data does not explain."""

_REDUCED = (
    "reduce_zero_label=True ignores value 0 and makes class 0 of value 1, which is for labels that "
    "count classes from 1 on; for labels from 0 on, set it to False."
)
_SELECTED = "Labels of classes that metainfo.classes leaves out are ignored: are its names right?"
_WHITE = (
    "Value {ignored} is ignored and never a class: if it marks one, as in masks of 0 and 255, "
    "write the number of the class in its place ({last} for {name!r})."
)
_PLAIN = "Are the values in the files the numbers of the classes, 0 to {last}?"
_ALONE = "A class is learnt against others: give what is not of it a class of its own."


@dataclass(frozen=True)
class LabelMaps:
    """What label maps hold, one or the sum of many.

    Attributes:
        pixels: How many pixels have each of the 256 values, as the run understands them.
        read: How many label maps.
        bad: What is wrong with those that can't be used.
        turned: (path, EXIF orientation) of their images that are turned without another size.
    """

    pixels: np.ndarray
    read: int = 1
    bad: tuple[str, ...] = ()
    turned: tuple[tuple[str, int], ...] = ()

    @classmethod
    def none(cls) -> LabelMaps:
        """The sum of no label maps."""
        return cls(np.zeros(256, np.int64), read=0)

    def __add__(self, other: LabelMaps) -> LabelMaps:
        return LabelMaps(
            self.pixels + other.pixels,
            self.read + other.read,
            self.bad + other.bad,
            self.turned + other.turned,
        )


@dataclass(frozen=True)
class Labels:
    """The label maps of a data set, or of all data sets of a split.

    Attributes:
        split: ``"train"``, ``"val"`` or ``"test"``.
        classes: Their names.
        ignore_index: The value that does not count.
        hint: A sentence about the setting by which pixels become ignored, if there is one.
        length: How many label maps there are.
        maps: Those that were read.
    """

    split: str
    classes: tuple[str, ...]
    ignore_index: int
    hint: str
    length: int
    maps: LabelMaps

    @property
    def all_read(self) -> bool:
        """Whether what was not seen is not there."""
        return self.maps.read >= self.length

    @property
    def were_read(self) -> str:
        """How many of how many."""
        rest = "" if self.all_read else f" (of {self.length}; --check-labels reads all)"
        return f"the {self.maps.read} label maps that were read{rest}"


def hint_on_ignoring(*, reduce_zero_label: bool, selected: bool) -> str:
    """A sentence about the setting by which a data set ignores pixels; empty without one."""
    return _REDUCED if reduce_zero_label else _SELECTED if selected else ""


def findings(labels: Labels) -> Iterator[tuple[int, str]]:
    """Say which classes can't be learnt or compared, and what looks like a mistake.

    That a class is absent is certain where all label maps were read. Else it is a doubt, and an
    error only where all that were read show the same mistake: nothing but what is ignored, or
    masks of 0 and 255.

    Yields:
        (level as in ``logging``, sentence); ERROR: the run would be in vain.
    """
    pixels, total = labels.maps.pixels, int(labels.maps.pixels.sum())
    if not total:
        return
    counted = [n for n in range(len(labels.classes)) if n != labels.ignore_index]
    present = [number for number in counted if pixels[number]]
    share = pixels[labels.ignore_index] / total
    place = f"{labels.split}_dataloader: in {labels.were_read}"
    ignored = f"{share:.1%} of the pixels are ignored"
    cure = _cure(labels, present)
    if not present:
        # A test set whose labels are withheld may still be predicted.
        level = logging.ERROR if labels.split == "train" else logging.WARNING
        yield level, f"{place}, all pixels are ignored. {cure}"
    elif len(present) == 1:
        masks = present == [0] and share > _SOME and not labels.hint
        in_vain = labels.split == "train" and (masks or labels.all_read)
        text = f"{_named(labels, present)} is the only class that occurs, and {ignored}"
        yield logging.ERROR if in_vain else logging.WARNING, f"{place}, {text}. {cure}"
    elif labels.split == "train" and len(present) < len(counted):
        absent = [number for number in counted if not pixels[number]]
        # A few label maps seldom show all classes.
        level = logging.WARNING if labels.all_read or share > _MOSTLY else logging.INFO
        text = f"{len(absent)} of {len(labels.classes)} classes never occur, and {ignored}"
        yield level, f"{place}, {text}: {_named(labels, absent)}. {cure}"
    elif share > _MOSTLY:
        yield logging.WARNING, f"{place}, {ignored}. {cure}"
    if labels.maps.turned:
        yield logging.WARNING, _turned(labels)


def _named(labels: Labels, numbers: Sequence[int]) -> str:
    return listed([f"{labels.classes[number]!r} ({number})" for number in numbers])


def _cure(labels: Labels, present: Sequence[int]) -> str:
    """What to do about the likeliest reason why classes disappear."""
    last = len(labels.classes) - 1
    if last == 0:
        return _ALONE
    if last not in present and labels.hint:
        return labels.hint
    masks = last not in present and labels.maps.pixels[labels.ignore_index]
    wording = _WHITE if masks else _PLAIN
    return wording.format(ignored=labels.ignore_index, last=last, name=labels.classes[last])


def _turned(labels: Labels) -> str:
    path, orientation = labels.maps.turned[0]
    return (
        f"{labels.split}_dataloader: EXIF data turns the images of {len(labels.maps.turned)} of "
        f"{labels.were_read} and keeps their size, such as {path}: whether labels fit can't be "
        f"seen. {exif_cure(orientation)}"
    )
