"""Every place of a config that says how many classes there are, against its data sets."""

from __future__ import annotations

from typing import Any, Iterator, Mapping

from mmseg_deeplab_ext.config_view import ConfigView, DatasetView, class_in, step_name
from mmseg_deeplab_ext.registry import MODELS


def problems_of_class_counts(view: ConfigView) -> list[str]:
    """Find heads and label checks that have another number of classes than the data sets.

    Each line names both counts, and the keys to change.
    """
    problems = [
        f"{key} is {found}, but {dataset} ({dataset.split}_dataloader) has {len(dataset.classes)} "
        f"classes: set {key} to {len(dataset.classes)}, or change the data set's metainfo."
        for dataset in view.datasets
        if dataset.classes is not None
        for key, found in _class_counts(view, dataset)
        if found != len(dataset.classes)
    ]
    return list(dict.fromkeys(problems))


def _class_counts(view: ConfigView, dataset: DatasetView) -> Iterator[tuple[str, int]]:
    """(key in the config, count)."""
    for key, head in view.heads:
        if "num_classes" in head and not ("auxiliary_head" in key and _finds_boundaries(head)):
            yield f"{key}.num_classes", head["num_classes"]
    for step in dataset.steps:
        if step_name(step) == "CheckedLoadAnnotations":
            place = f"CheckedLoadAnnotations ({dataset.split} pipeline)"
            yield f"num_classes of {place}", step["num_classes"]


def _finds_boundaries(head: Mapping[str, Any]) -> bool:
    """Whether it is MMSegmentation's STDCHead, which makes its own labels from the data set's."""
    bases = getattr(class_in(MODELS, head), "__mro__", ())
    return any(base.__name__ == "STDCHead" for base in bases)
