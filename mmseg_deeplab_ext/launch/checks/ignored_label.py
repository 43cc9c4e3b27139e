"""The label value that does not count: the same in heads, padding, labels and scores."""

from __future__ import annotations

import inspect
from typing import Any, Iterator, Mapping

from mmengine.registry import Registry

from mmseg_deeplab_ext import registry as ours
from mmseg_deeplab_ext.config_values import is_whole
from mmseg_deeplab_ext.config_view import ConfigView, class_in, step_name
from mmseg_deeplab_ext.launch.checks.evaluation import iou_metrics

_OF_ZERO_LABELS = 255
"""What MMSegmentation's ``reduce_zero_label`` makes of label 0."""


def problems_of_ignored_label(view: ConfigView) -> list[str]:
    """Find places that take another value than the first head for pixels that do not count.

    What is added to an image may be of a class: the dark corners of a rotated one are background.

    Returns:
        One line with all of them, or none.
    """
    if not view.heads:
        return []
    found = {key: value for key, value in _values(view) if is_whole(value, minimum=0)}
    classes = view.heads[0][1].get("num_classes", 0)
    padding = {key: value for key, value in _paddings(view) if is_whole(value, minimum=classes)}
    found.update(padding)
    wanted = view.ignore_index
    other = [f"{key}={value}" for key, value in found.items() if value != wanted]
    if not other:
        return []
    return [
        f"{view.heads[0][0]}.ignore_index={wanted} is the label of pixels that do not count, but "
        f"others say otherwise: {', '.join(other)}. Give all of them the same value."
    ]


def _values(view: ConfigView) -> Iterator[tuple[str, Any]]:
    for key, head in view.heads[1:]:
        yield f"{key}.ignore_index", _value(head, "ignore_index", ours.MODELS)
    for split in view.splits:
        for metric in iou_metrics(view.config.get(f"{split}_evaluator")):
            if not metric.get("format_only"):
                value = _value(metric, "ignore_index", ours.METRICS)
                yield f"{split}_evaluator.ignore_index", value
    for part in view.datasets:
        place = f"{part.split}_dataloader.dataset"
        yield f"{place}.ignore_index", part.config.get("ignore_index")
        if part.config.get("reduce_zero_label"):
            yield f"{place}.reduce_zero_label makes label 0", _OF_ZERO_LABELS
        for step in part.steps:
            yield f"{place}: {step_name(step)}.ignore_index", step.get("ignore_index")


def _paddings(view: ConfigView) -> Iterator[tuple[str, Any]]:
    preprocessor = view.model.get("data_preprocessor") or {}
    if "train" in view.splits and {"size", "size_divisor", "seg_pad_val"} & preprocessor.keys():
        pads = _value(preprocessor, "seg_pad_val", ours.MODELS)
        yield "model.data_preprocessor.seg_pad_val", pads
    for part in view.datasets:
        for step in part.steps:
            name = f"{part.split}_dataloader.dataset: {step_name(step)}"
            yield f"{name}.seg_pad_val", _value(step, "seg_pad_val", ours.TRANSFORMS)
            pads = step.get("pad_val")
            yield f"{name}.pad_val.seg", pads.get("seg") if isinstance(pads, Mapping) else None


def _value(part: Mapping[str, Any], key: str, source: Registry) -> Any:
    """What a part's config says, or else the default of its class."""
    if key in part:
        return part[key]
    kind = class_in(source, part)
    parameters = inspect.signature(kind).parameters if inspect.isclass(kind) else {}
    return parameters[key].default if key in parameters else None
