"""Loop, sampler, hooks and learning rates that count differently, and would never come."""

from __future__ import annotations

import inspect
from typing import Any, Iterator, Mapping

from mmengine.dataset import InfiniteSampler
from mmengine.hooks import CheckpointHook
from mmengine.optim.scheduler import ReduceOnPlateauParamScheduler
from mmengine.registry import Registry
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop

from mmseg_deeplab_ext import registry as ours
from mmseg_deeplab_ext.config_values import is_whole
from mmseg_deeplab_ext.config_view import ConfigView, class_in, is_known

_MUCH_LATER = 2
"""A schedule that ends after this many lengths of the training was made for another one."""


def problems_of_schedule(view: ConfigView) -> list[str]:
    """Find what a training loop would never come to, or never come to the end of.

    Returns:
        A line for each, with the keys to set.
    """
    kind = _loop(view)
    if issubclass(kind, EpochBasedTrainLoop):
        return [*_in_epochs(view), *_never_begins(view, "max_epochs", by_epoch=True)]
    if issubclass(kind, IterBasedTrainLoop):
        return [*_in_iterations(view), *_never_begins(view, "max_iters", by_epoch=False)]
    return []


def notes_on_schedule(view: ConfigView) -> list[str]:
    """Find hooks that come once, at the end, where they may be meant to come more often."""
    if not issubclass(_loop(view), IterBasedTrainLoop):
        return []
    return [
        _once(key)
        for key, hook, by_epoch in _hooks(view)
        if by_epoch and is_known(class_in(ours.HOOKS, hook)) and not _saves_never(hook)
    ]


def _loop(view: ConfigView) -> type:
    """The class of the training loop; ``object`` where there is none, or it isn't known."""
    loop = view.config.get("train_cfg") or {}
    kind: Any = class_in(ours.LOOPS, loop) if "train" in view.splits else object
    if kind is None and "by_epoch" in loop:
        kind = EpochBasedTrainLoop if loop["by_epoch"] else IterBasedTrainLoop
    return kind if inspect.isclass(kind) else object


def _in_epochs(view: ConfigView) -> Iterator[str]:
    loader = view.config.get("train_dataloader") or {}
    sampler = class_in(ours.DATA_SAMPLERS, loader.get("sampler"))
    if inspect.isclass(sampler) and issubclass(sampler, InfiniteSampler):
        yield (
            f"train_cfg trains by epochs, but an epoch of the {sampler.__name__} never ends: set "
            "train_dataloader.sampler=dict(type='DefaultSampler', shuffle=True)."
        )
    iterations = _iterations(view)
    for key, scheduler, by_epoch in _counting(view, "param_scheduler", ours.PARAM_SCHEDULERS):
        end = scheduler.get("end")
        late = iterations and is_whole(end, minimum=0) and end > _MUCH_LATER * iterations
        if late and not by_epoch:
            yield (
                f"{key} counts iterations (by_epoch=False) and ends at {end}, but train_cfg "
                f"trains by epochs, {iterations} iterations at most: set by_epoch=True and end to "
                "epochs, or end to iterations of this training."
            )


def _in_iterations(view: ConfigView) -> Iterator[str]:
    for key, scheduler, by_epoch in _counting(view, "param_scheduler", ours.PARAM_SCHEDULERS):
        if by_epoch and not scheduler.get("convert_to_iter_based"):
            yield _once(key)
    for key, hook, by_epoch in _hooks(view):
        if by_epoch and _saves_never(hook):
            yield _once(key)


def _hooks(view: ConfigView) -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    for place in ("default_hooks", "custom_hooks"):
        yield from _counting(view, place, ours.HOOKS)


def _saves_never(hook: Mapping[str, Any]) -> bool:
    """Whether a hook that counts epochs has an interval longer than the only one."""
    interval = hook.get("interval")
    return class_in(ours.HOOKS, hook) is CheckpointHook and is_whole(interval, minimum=2)


def _once(key: str) -> str:
    return (
        f"{key} counts epochs (by_epoch=True, which is the default), but train_cfg trains by "
        "iterations, all in one epoch: it comes at the end at most. Set by_epoch=False there."
    )


def _never_begins(view: ConfigView, length: str, *, by_epoch: bool) -> Iterator[str]:
    loop = view.config["train_cfg"]
    last = loop.get(length)
    if not is_whole(last, minimum=1):
        return
    begin, interval = loop.get("val_begin", 1), loop.get("val_interval", 1)
    validates = bool(view.config.get("val_dataloader"))
    if validates and is_whole(begin, minimum=last + 1):
        yield f"train_cfg.val_begin={begin} is after {length}={last}: nothing would be validated."
    if validates and not (isinstance(interval, (int, float)) and interval):
        yield f"train_cfg.val_interval={interval!r} must be a whole number of at least 1."
    for key, hook, counts_epochs in _counting(view, "default_hooks", ours.HOOKS):
        if class_in(ours.HOOKS, hook) is not CheckpointHook:
            continue
        interval, begin = hook.get("interval", -1), hook.get("save_begin") or 0
        if not isinstance(interval, (int, float)):
            yield f"{key}.interval={interval!r} must be a whole number (-1: save the last only)."
        elif (
            counts_epochs is by_epoch
            and max(interval, begin) > last
            and not hook.get("save_last", True)
        ):
            yield (
                f"{key}.interval={interval} is longer than {length}={last}, and "
                "save_last is off: no state to resume would be saved."
            )


def _counting(
    view: ConfigView, key: str, source: Registry
) -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    """The parts that count epochs or iterations: key, config, whether they count epochs."""
    found = view.config.get(key) or ()
    if isinstance(found, Mapping) and "type" in found:
        found = {"": found}
    named = (
        {f".{name}" if name else "": part for name, part in found.items()}
        if isinstance(found, Mapping)
        else {f"[{number}]": part for number, part in enumerate(found)}
    )
    for name, part in named.items():
        kind = class_in(source, part)
        if not inspect.isclass(kind) or issubclass(kind, ReduceOnPlateauParamScheduler):
            continue
        default = _default(kind, "by_epoch")
        if default is not None:
            yield key + name, part, bool(part.get("by_epoch", default))


def _default(kind: type, key: str) -> Any:
    """The default of a constructor's parameter, its own or, behind ``**kwargs``, a base's."""
    for one in kind.__mro__:
        if "__init__" in vars(one):
            parameter = inspect.signature(vars(one)["__init__"]).parameters.get(key)
            if parameter is not None and parameter.default is not parameter.empty:
                return parameter.default
    return None


def _iterations(view: ConfigView) -> int | None:
    """How many iterations a training by epochs has at most; None where that is not known."""
    loader = view.config.get("train_dataloader") or {}
    epochs, batch = view.config["train_cfg"].get("max_epochs"), loader.get("batch_size")
    parts = [part for part in view.datasets if part.split == "train"]
    alone = len(parts) == 1 and parts[0].config is loader.get("dataset") and parts[0].is_local
    if not alone or not all(is_whole(value, minimum=1) for value in (epochs, batch)):
        return None
    return epochs * -(-len(parts[0].samples) // batch)
