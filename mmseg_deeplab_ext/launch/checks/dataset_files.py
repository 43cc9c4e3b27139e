"""Check a config's data sets before anything is built: files there, class counts consistent.

A run whose data is missing stops in seconds with the names of the files and the command that
brings them, instead of an assertion without a message, or a crash in the middle of training.
"""

from __future__ import annotations

import os
import shlex
from typing import Any, Iterable, Iterator, Mapping, Sequence

from mmengine.dataset import BaseDataset
from mmseg.datasets import PascalVOCDataset

from mmseg_deeplab_ext.config_view import (
    class_names,
    dataset_class,
    datasets_of,
    heads_of,
    pipeline_steps,
    reads_local_files,
    step_name,
)
from mmseg_deeplab_ext.datasets.demo_scenes import DEMO_CLASSES
from mmseg_deeplab_ext.errors import ConfigError, DatasetError
from mmseg_deeplab_ext.registry import DATASETS
from mmseg_deeplab_ext.tool_paths import tool_path

_FILES_NAMED = 5
"""How many missing files a message lists."""

_DOCS = "https://mmsegmentation.readthedocs.io/en/latest/user_guides/2_dataset_prepare.html"


def check_dataset_files(
    cfg: Mapping[str, Any], splits: Sequence[str] = ("train", "val")
) -> dict[str, int]:
    """Demand that every file which the data sets of a config will read is there.

    The lists come from the data sets' own classes, so any `BaseDataset` with paths under
    ``img_path`` and ``seg_map_path`` is checked. Labels are demanded only where the pipeline
    loads them. Data sets on remote storage are not checked: that would take a request per file.

    Args:
        cfg: A whole config.
        splits: The splits that the run will use.

    Returns:
        How many samples each split has, for those that were checked.

    Raises:
        DatasetError: Folders, lists or files are missing, or a list is empty; it names the first
            few and the command that brings the data. All data sets are reported together.
    """
    problems: list[str] = []
    advice: list[str] = []
    samples: dict[str, int] = {}
    for split, leaf in datasets_of(cfg, splits):
        if not reads_local_files(leaf):
            continue
        found = _missing_places(leaf)
        if not found:
            records = _records(leaf)
            samples[split] = samples.get(split, 0) + len(records)
            found = _missing_files(records, leaf)
        if found:
            problems.append(f"{split}_dataloader ({_describe(leaf)}): {found}")
            advice.append(_how_to_get(leaf))
    if problems:
        commands = "\n".join(f"  {line}" for line in dict.fromkeys(advice))
        raise DatasetError("\n".join([*dict.fromkeys(problems), "To get the data:", commands]))
    return samples


def _describe(leaf: Mapping[str, Any]) -> str:
    root = leaf.get("data_root")
    return dataset_class(leaf).__name__ + (f" in {root}" if root else "")


def _needs_labels(leaf: Mapping[str, Any]) -> bool:
    steps = pipeline_steps(leaf.get("pipeline"))
    return any(step_name(step).endswith("LoadAnnotations") for step in steps)


def _missing_places(leaf: Mapping[str, Any]) -> str:
    """Name the root, list file and folders that are missing: some classes assert without a word."""
    prefixes = dict(leaf.get("data_prefix") or {})
    if not _needs_labels(leaf):
        prefixes.pop("seg_map_path", None)
    # MMEngine's own class joins the paths: the rules for absolute and empty ones stay its own.
    joined = BaseDataset(
        ann_file=leaf.get("ann_file") or "",
        data_root=leaf.get("data_root") or "",
        data_prefix=prefixes,
        lazy_init=True,
    )
    if joined.data_root and not os.path.isdir(joined.data_root):
        return f"the folder {joined.data_root} is missing (looked for in {os.getcwd()})."
    folders = [folder for folder in joined.data_prefix.values() if folder]
    missing = [folder for folder in folders if not os.path.isdir(folder)]
    if joined.ann_file and not os.path.exists(joined.ann_file):
        missing.append(joined.ann_file)
    return f"missing are {', '.join(missing)}." if missing else ""


def _records(leaf: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The samples as the data set's class lists them, without loading any."""
    config = dict(leaf)
    config.update(lazy_init=True, serialize_data=False, pipeline=[])
    dataset = DATASETS.build(config)
    dataset.full_init()
    return dataset.data_list


def _missing_files(records: Sequence[Mapping[str, Any]], leaf: Mapping[str, Any]) -> str:
    if not records:
        return "it has no samples: its list, or its folder of images, is empty."
    keys = ["img_path"] + ["seg_map_path"] * _needs_labels(leaf)
    paths = [record[key] for record in records for key in keys if record.get(key)]
    missing = list(_not_there(paths))
    if not missing:
        return ""
    named = ", ".join(missing[:_FILES_NAMED])
    more = f" and {len(missing) - _FILES_NAMED} more" if len(missing) > _FILES_NAMED else ""
    return f"{len(missing)} of {len(paths)} files are missing: {named}{more}."


def _not_there(paths: Iterable[str]) -> Iterator[str]:
    """Filter the files that do not exist, with one listing per folder instead of one look per file.

    Over a network file system that is the difference between a second and a minute.
    """
    listings: dict[str, set[str]] = {}
    for path in paths:
        folder, name = os.path.split(path)
        if folder not in listings:
            listings[folder] = _files_in(folder)
        if name not in listings[folder]:
            yield path


def _files_in(folder: str) -> set[str]:
    if not os.path.isdir(folder or "."):
        return set()
    with os.scandir(folder or ".") as entries:
        return {entry.name for entry in entries if entry.is_file()}


def _how_to_get(leaf: Mapping[str, Any]) -> str:
    """The command, or the page, that brings a data set."""
    root = os.path.normpath(str(leaf.get("data_root") or ""))
    if tuple(class_names(leaf) or ()) == DEMO_CLASSES:
        return _python(tool_path("make_demo_dataset.py"), root)
    if issubclass(dataset_class(leaf), PascalVOCDataset):
        prepare = tool_path("dataset_converters/prepare_voc.py")
        devkit, year = os.path.split(root)
        if year == "VOC2012":
            return _python(prepare, devkit or ".")
        advice = "then set the data set's data_root to DATA_ROOT/VOC2012"
        return f"{_python(prepare, 'DATA_ROOT')}, {advice}"
    return f"{dataset_class(leaf).__name__}: as described in {_DOCS}"


def _python(*words: str) -> str:
    return " ".join(["python", *map(shlex.quote, words)])


def check_class_count(cfg: Mapping[str, Any], splits: Sequence[str] = ("train", "val")) -> None:
    """Demand that every head and every label check has as many classes as the data sets.

    Args:
        cfg: A whole config.
        splits: The splits that the run will use.

    Raises:
        ConfigError: Counts differ; it names both, and the keys to change.
    """
    problems: list[str] = []
    for split, leaf in datasets_of(cfg, splits):
        classes = class_names(leaf)
        if classes is None:
            continue
        for key, found in _class_counts(cfg, split, leaf):
            if found != len(classes):
                problems.append(
                    f"{key} is {found}, but {_describe(leaf)} ({split}_dataloader) has "
                    f"{len(classes)} classes: set {key} to {len(classes)}, or change the data "
                    "set's metainfo."
                )
    if problems:
        raise ConfigError("\n".join(dict.fromkeys(problems)))


def _class_counts(
    cfg: Mapping[str, Any], split: str, leaf: Mapping[str, Any]
) -> Iterator[tuple[str, int]]:
    """Every place that says how many classes there are: (key in the config, count)."""
    for key, head in heads_of(cfg["model"]):
        if "num_classes" in head:
            yield f"{key}.num_classes", head["num_classes"]
    for step in pipeline_steps(leaf.get("pipeline")):
        if step_name(step) == "CheckedLoadAnnotations":
            yield f"num_classes of CheckedLoadAnnotations ({split} pipeline)", step["num_classes"]
