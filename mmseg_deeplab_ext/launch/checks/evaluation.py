"""What is to be scored, against what the data sets have and the metrics compute."""

from __future__ import annotations

import inspect
from typing import Any, Iterator, Mapping

from mmengine.evaluator import Evaluator
from mmengine.hooks import CheckpointHook, EarlyStoppingHook
from mmseg.evaluation import IoUMetric

from mmseg_deeplab_ext import registry as ours
from mmseg_deeplab_ext.config_view import ConfigView, DatasetView, class_in, is_known, step_name

_SCORES = {
    "mIoU": ("mIoU", "mAcc"),
    "mDice": ("mDice", "mAcc"),
    "mFscore": ("mFscore", "mPrecision", "mRecall"),
}
"""Metrics of MMSegmentation's IoUMetric -> scores besides aAcc."""

_LOAD_BOTH = ("LoadBiomedicalData",)
"""Transforms that load images and labels."""


def iou_metrics(evaluator: Any) -> list[dict[str, Any]]:
    """The configs of an evaluator's IoUMetrics."""
    return [part for part in _metrics(evaluator) if _is_iou(part)]


def problems_of_scores(view: ConfigView) -> list[str]:
    """Find data sets that can't be scored, and scores that nothing computes.

    Returns:
        A line for each, with the keys to set.
    """
    scored = [split for split in view.splits if split != "train"]
    problems = [line for split in scored for line in _problems_of_data(view, split)]
    if "train" in view.splits:
        problems += _problems_of_monitors(view)
    return problems


def _metrics(evaluator: Any) -> list[Any]:
    if isinstance(evaluator, Mapping) and "metrics" in evaluator:
        evaluator = evaluator["metrics"]
    return (
        list(evaluator) if isinstance(evaluator, (list, tuple)) else [evaluator] * bool(evaluator)
    )


def _is_iou(part: Any) -> bool:
    kind = class_in(ours.METRICS, part)
    return inspect.isclass(kind) and issubclass(kind, IoUMetric)


def _problems_of_data(view: ConfigView, split: str) -> Iterator[str]:
    metrics = iou_metrics(view.config.get(f"{split}_evaluator"))
    scoring = [metric for metric in metrics if not metric.get("format_only")]
    for part in view.datasets:
        if part.split != split or not metrics:
            continue
        if not part.has_classes:
            yield (
                f"{split}_dataloader ({part}) names no classes, which IoUMetric needs: set "
                "metainfo=dict(classes=('background', ...)) in the data set, one name a label."
            )
        if scoring and _loads_no_labels(part):
            yield (
                f"{split}_dataloader ({part}) loads no labels, but {split}_evaluator scores: put "
                "dict(type='LoadAnnotations') into its pipeline; or, to write label maps only, "
                f"set {split}_evaluator.format_only=True and an output_dir (--out of "
                "tools/test.py)."
            )


def _loads_no_labels(part: DatasetView) -> bool:
    """Whether all its transforms are known, and to load none."""
    steps = [class_in(ours.TRANSFORMS, step) for step in part.steps]
    loading = ["Annotation" in name or name in _LOAD_BOTH for name in map(step_name, part.steps)]
    return bool(steps) and all(map(is_known, steps)) and not any(loading)


def notes_on_scores(view: ConfigView) -> list[str]:
    """Find scores that are watched in a training without validation."""
    if "train" not in view.splits or _validates(view):
        return []
    return [
        f"{key}={score!r} has no effect: nothing validates (val_dataloader, val_evaluator)."
        for key, score in _monitored(view)
    ]


def _validates(view: ConfigView) -> bool:
    return bool(view.config.get("val_evaluator") and view.config.get("val_dataloader"))


def _problems_of_monitors(view: ConfigView) -> Iterator[str]:
    evaluator = view.config.get("val_evaluator")
    metrics = _metrics(evaluator)
    kinds = [class_in(ours.METRICS, metric) for metric in metrics]
    own = isinstance(evaluator, Mapping) and "metrics" in evaluator and "type" in evaluator
    plain = not own or class_in(ours.EVALUATOR, evaluator) is Evaluator
    if not _validates(view) or not plain or any(kind is not IoUMetric for kind in kinds):
        return  # classes of others may call their scores what they like
    known = [score for metric in metrics for score in _scores(metric)]
    for key, score in _monitored(view):
        if score not in [*known, "auto"]:
            yield (
                f"{key}={score!r}, but val_evaluator computes {', '.join(known) or 'no score'}: "
                "name one of these, or 'auto' (save_best), or let the metric compute it "
                "(iou_metrics)."
            )


def _scores(metric: Mapping[str, Any]) -> list[str]:
    if metric.get("format_only"):
        return []
    wanted = metric.get("iou_metrics", ["mIoU"])
    wanted = [wanted] if isinstance(wanted, str) else wanted
    prefix = f"{metric['prefix']}/" if metric.get("prefix") else ""
    names = ["aAcc", *(score for one in wanted for score in _SCORES.get(one, ()))]
    return [prefix + name for name in dict.fromkeys(names)]


def _monitored(view: ConfigView) -> Iterator[tuple[str, str]]:
    """(key in the config, score) of what watches scores."""
    hooks = {f"default_hooks.{n}": h for n, h in (view.config.get("default_hooks") or {}).items()}
    custom = view.config.get("custom_hooks") or ()
    hooks.update((f"custom_hooks[{number}]", hook) for number, hook in enumerate(custom))
    watched = {CheckpointHook: "save_best", EarlyStoppingHook: "monitor"}
    for place, hook in hooks.items():
        key = watched.get(class_in(ours.HOOKS, hook))  # type: ignore[arg-type]
        scores = (hook.get(key) if key else None) or ()
        for score in [scores] if isinstance(scores, str) else scores:
            yield f"{place}.{key}", score
