"""Every part of a config that is built from its ``type``: the type exists, and takes the keys.

MMEngine builds most parts late, and fails then in whatever way the part's class does. Here the
config's tree is walked before, along the table in `places`.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any, Iterable, Iterator, Mapping

from mmengine.registry import Registry

from mmseg_deeplab_ext import registry as ours
from mmseg_deeplab_ext.config_view import ConfigView, class_in, is_known
from mmseg_deeplab_ext.launch.checks.constructor_keys import keys_of
from mmseg_deeplab_ext.launch.checks.places import (
    EVALUATOR,
    HOOK,
    LOOP,
    METRICS,
    MODEL,
    OF_EVERY_RUN,
    OF_SPLIT,
    PIPELINE,
    Place,
)
from mmseg_deeplab_ext.wording import listed

_NEAR = 0.6
"""Likeness that makes an unknown name worth a question."""

_ALIKE = 0.85
"""Likeness that makes a key a typing error where the class may take any."""

_OF_ANOTHER_LIBRARY = "Albu"
"""A transform whose keys hold parts that no registry knows: albumentations'."""

_MMENGINE_READS = ("type", "_scope_")


@dataclass(frozen=True)
class _Here:
    """Where the walk is."""

    path: str
    scope: str | None
    text: str
    """Of the config's files."""

    def at(self, step: str) -> _Here:
        return replace(self, path=self.path + step)


def problems_of_parts(view: ConfigView) -> list[str]:
    """Find types that do not exist, and keys that their classes do not take.

    Only what the view's splits use is looked at. Classes whose signatures can't be read, and
    objects in the place of dictionaries, are passed over.

    Returns:
        A line for each type or key that is wrong.
    """
    cfg = view.config
    places = dict(OF_EVERY_RUN)
    for split in view.splits:
        places.update(OF_SPLIT[split])
    loop = cfg.get("train_cfg") or {}
    if "train_cfg" in places and "type" not in loop and "by_epoch" in loop:
        kind = "EpochBasedTrainLoop" if loop["by_epoch"] else "IterBasedTrainLoop"
        places["train_cfg"] = replace(LOOP, default=kind, more=("by_epoch",))
    wrapper = cfg.get("optim_wrapper") or {}
    maker = class_in(ours.OPTIM_WRAPPER_CONSTRUCTORS, {"type": wrapper.get("constructor")})
    if maker is not None and not is_known(maker):  # it gets, and reads, the whole dictionary
        places.pop("optim_wrapper", None)
    return [
        *_problems_of_default_hooks(cfg),
        *(
            line
            for key in places
            for line in _problems(cfg.get(key), places[key], _start(cfg, key))
        ),
    ]


def problems_of_inference(cfg: Mapping[str, Any], pipeline: Any) -> list[str]:
    """:func:`problems_of_parts` of what predicts without a Runner: model and test pipeline."""
    return [
        *_problems(cfg.get("model"), MODEL, _start(cfg, "model")),
        *_problems(pipeline, PIPELINE, _start(cfg, "test pipeline")),
    ]


def _start(cfg: Any, key: str) -> _Here:
    return _Here(key, cfg.get("default_scope", "mmseg"), getattr(cfg, "text", ""))


def _problems_of_default_hooks(cfg: Mapping[str, Any]) -> Iterator[str]:
    hooks = cfg.get("default_hooks") or {}
    typed = [name for name, hook in hooks.items() if isinstance(hook, Mapping) and "type" in hook]
    for name, hook in hooks.items():
        if isinstance(hook, Mapping) and name not in typed:
            yield f"default_hooks.{name} has no `type`.{_question(name, typed)}"
        else:
            yield from _problems(hook, HOOK, _start(cfg, f"default_hooks.{name}"))


def _problems(part: Any, place: Place, here: _Here) -> Iterator[str]:
    """Walk a part, or a list of them, and what is inside."""
    if isinstance(part, (list, tuple)):
        for number, each in enumerate(part):
            yield from _problems(each, place, here.at(f"[{number}]"))
    if not isinstance(part, Mapping):
        return
    here = replace(here, scope=part.get("_scope_") or here.scope)
    if place is METRICS and "metrics" in part:
        place = EVALUATOR
    kind = part.get("type", place.default) if isinstance(place.source, Registry) else place.source
    if isinstance(kind, str) and kind:
        found = _class_of(place.source, kind, here)
        if found is None:
            yield from _problem_of_type(kind, place, here)
        kind = found
    if callable(kind):
        yield from _problems_of_keys(part, place, kind, here)
        if any(base.__name__ == _OF_ANOTHER_LIBRARY for base in getattr(kind, "__mro__", ())):
            return
    for key, value in part.items():
        inside = place.inside.get(key) or _guess(value, place)
        if inside is not None:
            yield from _problems(value, inside, here.at(f".{key}"))


def _guess(value: Any, place: Place) -> Place | None:
    """What a key that is in no table may hold: parts of its owner's kind."""
    first = value[0] if isinstance(value, (list, tuple)) and value else value
    first = first[0] if isinstance(first, (list, tuple)) and first else first
    typed = isinstance(first, Mapping) and "type" in first
    if not typed or not isinstance(place.source, Registry):
        return None
    return replace(place, certain=False)


def _class_of(source: Registry, kind: str, here: _Here) -> Any:
    """What MMEngine will build under a name."""
    with source.switch_scope_and_registry(here.scope) as registry:
        return registry.get(kind)


def _names(source: Registry, scope: str | None) -> dict[str, Any]:
    """The names that a config can use, and the classes behind them."""
    source.import_from_location()
    found = {f"{ours.SCOPE}.{name}": kind for name, kind in source.module_dict.items()}
    with source.switch_scope_and_registry(scope) as registry:
        level: Registry | None = registry
        while level is not None:
            found = {**level.module_dict, **found}
            level = level.parent
    return found


def _problem_of_type(kind: str, place: Place, here: _Here) -> Iterator[str]:
    names = _names(place.source, here.scope)
    package, _, bare = kind.rpartition(".")
    if package not in ("", "mmseg", "mmengine", ours.SCOPE):
        root = package.partition(".")[0]
        suspect = place.certain or find_spec(root) is None
        hint = f" Is the package {root!r} installed?" if suspect else ""
    elif f"{ours.SCOPE}.{bare}" in names:
        hint = f" Only the prefix is missing: type='{ours.SCOPE}.{bare}'."
    else:
        hint = _question(bare, names, cutoff=_NEAR if place.certain else _ALIKE)
    if hint or place.certain:
        yield (
            f"{here.path}: type {kind!r} is in no registry.{hint} (A class of your own needs the "
            "module that registers it in custom_imports.)"
        )


def _problems_of_keys(part: Any, place: Place, kind: Any, here: _Here) -> Iterator[str]:
    keys = keys_of(kind)
    if keys is None:
        return
    known = {*keys.names, *place.more}
    name = getattr(kind, "__name__", str(kind))
    for key in part:
        if key in known or key in _MMENGINE_READS:
            continue
        certain = place.certain and keys.complete
        alike = _question(key, known, cutoff=_NEAR if certain else _ALIKE)
        left = _taken_by_another(key, name, place, here) if certain else ""
        if certain or alike:
            listing = "" if left or alike else f" It takes {listed(sorted(known), most=15)}."
            yield f"{here.path}: {name} takes no key {key!r}.{left or alike or listing}"


def _taken_by_another(key: str, found: str, place: Place, here: _Here) -> str:
    """What to do where ours of the same name takes a key, or one that the config's files name."""
    if not isinstance(place.source, Registry):
        return ""
    names = _names(place.source, here.scope)
    takers = [name for name, kind in names.items() if key in getattr(keys_of(kind), "names", ())]
    if f"{ours.SCOPE}.{found}" in takers:
        return f" Only the prefix is missing: type='{ours.SCOPE}.{found}' takes it."
    for name in takers:
        if re.search(rf"\b{re.escape(name)}['\"]", here.text):
            return (
                f" {name} takes it: where a _base_ file has that type, put `_delete_=True` into "
                "the dictionary that replaces it."
            )
    return ""


def _question(name: str, known: Iterable[str], *, cutoff: float = _NEAR) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f" Did you mean {close[0]!r}?" if close else ""
