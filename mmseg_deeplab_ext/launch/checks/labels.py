"""Read label maps and their images before a run, so that what is wrong is known before any work.

A setting that fits no file (labels from 1 on, colours, masks of 0 and 255, another
`reduce_zero_label`, fewer classes) shows in the first few; a single bad file, and a class that
never occurs, where all are read.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Iterator, Mapping, Sequence

import numpy as np
from mmengine.dist import all_gather_object
from mmengine.logging import print_log

from mmseg_deeplab_ext.config_view import ConfigView, pipeline_steps, step_name
from mmseg_deeplab_ext.datasets.image_files import orientation_of
from mmseg_deeplab_ext.errors import DatasetError
from mmseg_deeplab_ext.launch.checked_loading import checked_loader
from mmseg_deeplab_ext.launch.checks.label_counts import (
    LabelMaps,
    Labels,
    findings,
    hint_on_ignoring,
)
from mmseg_deeplab_ext.registry import DATASETS

_FILES_READ = 32
"""How many label maps of a data set are read where not all are."""

_FILES_NAMED = 5
_THREADS = 8


def check_labels(view: ConfigView, *, every: bool = False, share: tuple[int, int] = (0, 1)) -> int:
    """Load label maps of a config's data sets as the run will, through their own checks.

    Those of data sets whose classes are unknown, or on remote storage, are not read; of the others
    ``every`` one, else 32 of each data set, evenly spread. With ``every``, a process reads its
    ``share``: (this process, number of processes), and all are judged together.

    Returns how many label maps this process read. What is wrong with the first few of each data
    set, or that nothing can be learnt from all of them, is in the message of a DatasetError; what
    their counts leave in doubt is logged.
    """
    sets = list(_read_labels(view, every=every, share=share))
    read = sum(labels.maps.read for labels in sets)
    if every:
        parts = all_gather_object([labels.maps for labels in sets])
        sums = [sum(maps, LabelMaps.none()) for maps in zip(*parts)]
        sets = [replace(old, maps=new) for old, new in zip(sets, sums)]
    problems = [line for labels in sets for line in _bad_files(labels)]
    if problems:
        raise DatasetError("\n".join(problems))
    found = [finding for labels in _by_split(sets) for finding in findings(labels)]
    problems = [text for level, text in found if level == logging.ERROR]
    if problems:
        raise DatasetError("\n".join(problems))
    for level, text in found:
        print_log(text, logger="current", level=level)
    return read


def _read_labels(view: ConfigView, *, every: bool, share: tuple[int, int]) -> Iterator[Labels]:
    """Read what this process is to read, one data set after the other."""
    for part in view.datasets:
        leaf = checked_loader({"dataset": part.config}, ignore_index=view.ignore_index)["dataset"]
        steps = _loading_steps(leaf["pipeline"])
        if not steps or not part.is_local:
            continue
        # To serialise the list, MMEngine collects garbage: longer than to read the label maps.
        keys = {"pipeline": steps, "lazy_init": False, "serialize_data": False}
        dataset = DATASETS.build({**leaf, **keys})
        length = len(dataset)
        numbers = range(share[0], length, share[1]) if every else _spread(length)
        with ThreadPoolExecutor(_THREADS) as pool:
            maps = list(pool.map(partial(_read, dataset), numbers))
        sample = dataset.get_data_info(0) if length else {}
        hint = hint_on_ignoring(
            reduce_zero_label=bool(sample.get("reduce_zero_label")),
            selected=sample.get("label_map") is not None,
        )
        names = tuple(part.classes or ())
        ignored = steps[-1].get("ignore_index", 255)  # the default of a step that the config names
        yield Labels(part.split, names, ignored, hint, length, sum(maps, LabelMaps.none()))


def _loading_steps(pipeline: Any) -> list[Mapping[str, Any]]:
    """The first checked step that loads an image, if any, and that for labels; none without it."""
    first = {step_name(step): step for step in reversed(list(pipeline_steps(pipeline)))}
    if "CheckedLoadAnnotations" not in first:
        return []
    names = ("CheckedLoadImageFromFile", "CheckedLoadAnnotations")
    return [first[name] for name in names if name in first]


def _spread(length: int) -> Sequence[int]:
    count = min(length, _FILES_READ)
    return [number * length // count for number in range(count)]


def _read(dataset: Any, number: int) -> LabelMaps:
    """Load one label map, and its image."""
    try:
        sample = dataset.prepare_data(number)
    except DatasetError as error:
        return LabelMaps(np.zeros(256, np.int64), bad=(str(error),))
    if sample is None:  # an image that may be missing: ignore_empty
        return LabelMaps(np.zeros(256, np.int64))
    pixels = np.bincount(sample["gt_seg_map"].ravel(), minlength=256)
    return LabelMaps(pixels, turned=_turned(dataset, sample))


def _turned(dataset: Any, sample: Mapping[str, Any]) -> tuple[tuple[str, int], ...]:
    """Whether EXIF data turned an image, and its size does not tell that the label map fits."""
    height, width = sample["gt_seg_map"].shape
    load = dataset.pipeline.transforms[0]
    applies = getattr(load, "color_type", "unchanged") in ("color", "grayscale")
    if not applies or load.imdecode_backend not in ("cv2", "pillow"):
        return ()
    orientation = orientation_of(Path(sample["img_path"]).read_bytes())
    unseen = orientation in (2, 3, 4) or (orientation > 4 and height == width)
    return ((sample["img_path"], orientation),) if unseen else ()


def _bad_files(labels: Labels) -> list[str]:
    """The first few bad files of a data set, and how many there are."""
    bad = labels.maps.bad
    count = f"{len(bad)} of {labels.were_read} are bad."
    return [*bad[:_FILES_NAMED], count] if bad else []


def _by_split(sets: Sequence[Labels]) -> Iterator[Labels]:
    """Put data sets of the same classes together: a class may be in one of them only."""
    groups: dict[tuple[str, tuple[str, ...]], list[Labels]] = {}
    for labels in sets:
        groups.setdefault((labels.split, labels.classes), []).append(labels)
    for together in groups.values():
        yield replace(
            together[0],
            hint=next((labels.hint for labels in together if labels.hint), ""),
            length=sum(labels.length for labels in together),
            maps=sum((labels.maps for labels in together), LabelMaps.none()),
        )
