"""The files of a config's data sets: all of them there before anything is built.

A run whose data is missing stops in seconds with the names of the files and the command that
brings them, instead of an assertion without a message, or a crash in the middle of training.
"""

from __future__ import annotations

import codecs
import os
import shlex
from pathlib import Path

from mmengine.dataset import BaseDataset
from mmseg.datasets import PascalVOCDataset

from mmseg_deeplab_ext.building import building
from mmseg_deeplab_ext.config_view import ConfigView, DatasetView
from mmseg_deeplab_ext.datasets.coco_as_voc import LABELS as COCO_LABELS
from mmseg_deeplab_ext.datasets.demo_scenes import DEMO_CLASSES
from mmseg_deeplab_ext.tool_paths import tool_path
from mmseg_deeplab_ext.wording import listed

_DOCS = "https://mmsegmentation.readthedocs.io/en/latest/user_guides/2_dataset_prepare.html"


def problems_of_files(view: ConfigView) -> list[str]:
    """Find files that the data sets of a config will read and that are not there.

    The lists come from the data sets' own classes, so any `BaseDataset` with paths under
    ``img_path`` and ``seg_map_path`` is checked. Labels are demanded only where the pipeline
    loads them. Data sets on remote storage are not checked: that would take a request per file.

    The lines say what each data set lacks; the last ones are the commands that bring the data.
    """
    problems: list[str] = []
    advice: list[str] = []
    for dataset in view.datasets:
        if not dataset.is_local:
            continue
        unreadable = _fault_of_list(dataset)
        if unreadable:
            problems.append(f"{dataset.split}_dataloader ({dataset}): {unreadable}")
            continue
        found = _missing_places(dataset) or _missing_files(dataset)
        if found:
            problems.append(f"{dataset.split}_dataloader ({dataset}): {found}")
            advice.append(f"  {_how_to_get(dataset)}")
    advice = ["To get the data:", *advice] if advice else []
    return list(dict.fromkeys([*problems, *advice]))


def _fault_of_list(dataset: DatasetView) -> str:
    """Name a list of samples that is no UTF-8 text without a mark, as the data sets read it."""
    path = _joined(dataset).ann_file
    if not path or not os.path.isfile(path):
        return ""
    with open(path, "rb") as file:
        content = file.read()
    marks = {codecs.BOM_UTF8: "UTF-8", codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16"}
    for mark, encoding in marks.items():
        if content.startswith(mark):
            return f"{path} is {encoding} with a byte-order mark: save it as UTF-8 without one."
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return f"{path} is not encoded in UTF-8 (line {line}): save it as UTF-8."
    return ""


def _missing_places(dataset: DatasetView) -> str:
    """Name the root, list file and folders that are missing: some classes assert without a word."""
    joined = _joined(dataset)
    if joined.data_root and not os.path.isdir(joined.data_root):
        return f"the folder {joined.data_root} is missing (looked for in {os.getcwd()})."
    folders = [folder for folder in joined.data_prefix.values() if folder]
    missing = [folder for folder in folders if not os.path.isdir(folder)]
    if joined.ann_file and not os.path.exists(joined.ann_file):
        missing.append(joined.ann_file)
    return f"missing are {', '.join(missing)}." if missing else ""


def _joined(dataset: DatasetView) -> BaseDataset:
    """Its paths, joined by MMEngine's own class, whose rules for absolute and empty ones hold."""
    leaf = dataset.config
    prefixes = dict(leaf.get("data_prefix") or {})
    if not dataset.needs_labels:
        prefixes.pop("seg_map_path", None)
    return BaseDataset(
        ann_file=leaf.get("ann_file") or "",
        data_root=leaf.get("data_root") or "",
        data_prefix=prefixes,
        lazy_init=True,
    )


def _missing_files(dataset: DatasetView) -> str:
    with building(f"{dataset.split}_dataloader.dataset"):
        samples = dataset.samples
    if not samples:
        return "it has no samples: its list, or its folder of images, is empty."
    if dataset.needs_labels and not any("seg_map_path" in sample for sample in samples):
        return (
            "its pipeline loads labels, but data_prefix has no seg_map_path. Name their folder, or "
            "leave LoadAnnotations out of the pipeline."
        )
    keys = ["img_path"] + ["seg_map_path"] * dataset.needs_labels
    paths = [sample[key] for sample in samples for key in keys if sample.get(key)]
    # One listing per folder instead of one look per file: over a network file system that is the
    # difference between a second and a minute.
    split = [os.path.split(path) for path in paths]
    listings = {folder: _files_in(folder) for folder in {folder for folder, _ in split}}
    missing = [path for path, (at, name) in zip(paths, split) if name not in listings[at]]
    if not missing:
        return ""
    return f"{len(missing)} of {len(paths)} files are missing: {listed(missing, most=5)}."


def _files_in(folder: str) -> set[str]:
    if not os.path.isdir(folder or "."):
        return set()
    with os.scandir(folder or ".") as entries:
        return {entry.name for entry in entries if entry.is_file()}


def _how_to_get(dataset: DatasetView) -> str:
    """The command, or the page, that brings a data set."""
    root = os.path.normpath(str(dataset.config.get("data_root") or ""))
    if tuple(dataset.classes or ()) == DEMO_CLASSES:
        return _python(tool_path("make_demo_dataset.py"), root)
    labels = Path((dataset.config.get("data_prefix") or {}).get("seg_map_path") or "")
    if COCO_LABELS in labels.parts:
        return _python(tool_path("dataset_converters/coco_as_voc.py"), root, "--split", labels.name)
    if issubclass(dataset.kind, PascalVOCDataset):
        prepare = tool_path("dataset_converters/prepare_voc.py")
        devkit, year = os.path.split(root)
        if year == "VOC2012":
            return _python(prepare, devkit or ".")
        advice = "then set the data set's data_root to DATA_ROOT/VOC2012"
        return f"{_python(prepare, 'DATA_ROOT')}, {advice}"
    return f"{dataset.kind.__name__}: as described in {_DOCS}"


def _python(*words: str) -> str:
    return " ".join(["python", *map(shlex.quote, words)])
