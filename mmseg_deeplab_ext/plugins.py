"""Registration: our own, and the loader of the entry-point group ``mmseg.plugins``.

MMEngine, MIM and MMSegmentation load no entry points, so this package brings the loader, and its
tools run it. A package joins by naming a function without arguments in the group::

    entry_points={"mmseg.plugins": ["my_package = my_package.plugins:register"]}

Environment variables:
    MMSEG_PLUGINS: The names to load, separated by commas, and no others. Set and empty: none.
        Unset: all.
    MMSEG_PLUGINS_STRICT: ``1`` makes a failing plugin an error, ``0`` (or unset) a warning.
"""

from __future__ import annotations

import os
import warnings
from importlib import metadata
from typing import Callable, Dict, Tuple

from mmseg_deeplab_ext.compat import explain, require_environment
from mmseg_deeplab_ext.errors import ConfigError, EnvironmentNotReadyError

GROUP = "mmseg.plugins"
_OURS = "mmseg_deeplab_ext"


_Plugins = Dict[Tuple[str, str], Callable[[], Callable[[], object]]]
"""(name, distribution) -> what loads the function to call."""

# What became of the plugins tried in this process: what failed, or None.
_outcomes: dict[tuple[str, str], str | None] = {}


def load_plugins(*, strict: bool | None = None) -> list[str]:
    """Load the plugins of the group ``mmseg.plugins``, sorted by name, once per process.

    Args:
        strict: Whether a failing plugin is an error. By default ``MMSEG_PLUGINS_STRICT`` says.

    Returns:
        The names of the plugins that are loaded and work.

    Raises:
        EnvironmentNotReadyError: If this package's own registration finds the environment
            wanting, or, when strict, if any plugin fails.
        ConfigError: If ``MMSEG_PLUGINS_STRICT`` is neither ``0`` nor ``1``.
    """
    strict = _strict_by_environment() if strict is None else strict
    plugins, failures = _discover()
    chosen = _select(plugins, failures)
    for key in chosen:
        if key not in _outcomes:
            _outcomes[key] = _try(*key, plugins[key])
    failures += filter(None, map(_outcomes.get, chosen))
    if strict and failures:
        raise EnvironmentNotReadyError("\n".join(failures))
    for failure in failures:
        warnings.warn(failure, stacklevel=2)
    return [name for name, owner in chosen if _outcomes[name, owner] is None]


def _strict_by_environment() -> bool:
    value = os.environ.get("MMSEG_PLUGINS_STRICT", "0")
    if value not in ("", "0", "1"):
        raise ConfigError(f"MMSEG_PLUGINS_STRICT is {value!r}, allowed are 0 and 1")
    return value == "1"


def _discover() -> tuple[_Plugins, list[str]]:
    """Find the group's members; ours is one of them in a checkout that is not installed, too.

    The distributions are walked, rather than ``metadata.entry_points`` asked, because before
    Python 3.10 an entry point does not know its distribution, and because one distribution with
    garbled metadata must not hide the others.
    """
    plugins: _Plugins = {(_OURS, _OURS): lambda: register}
    failures = []
    for distribution in metadata.distributions():
        if GROUP not in (distribution.read_text("entry_points.txt") or ""):
            continue
        owner = distribution.metadata["Name"]
        try:
            members = [point for point in distribution.entry_points if point.group == GROUP]
        except Exception as error:  # the type differs between versions of Python
            failures.append(_failure("entry_points.txt", owner, error))
            continue
        for point in members:
            if point.name != _OURS:
                plugins.setdefault((point.name, owner), point.load)
    return plugins, failures


def _select(plugins: _Plugins, failures: list[str]) -> list[tuple[str, str]]:
    """Those that ``MMSEG_PLUGINS`` names, sorted; a name that nothing has is a failure."""
    if "MMSEG_PLUGINS" not in os.environ:
        return sorted(plugins)
    wanted = [name.strip() for name in os.environ["MMSEG_PLUGINS"].split(",") if name.strip()]
    known = sorted({name for name, _ in plugins})
    failures += [
        f"MMSEG_PLUGINS names {name!r}, which no installed package registers; "
        f"there are: {', '.join(known)}"
        for name in wanted
        if name not in known
    ]
    return sorted(key for key in plugins if key[0] in wanted)


def _try(name: str, distribution: str, load: Callable[[], Callable[[], object]]) -> str | None:
    """Run one plugin; return what failed, if anything did.

    Our own errors propagate: these tools cannot work without our own registration.
    """
    if name == _OURS:
        register()
        return None
    try:
        load()()
    except Exception as error:  # somebody else's code must not keep ours from training
        return _failure(f"plugin {name!r}", distribution, error)
    return None


def _failure(what: str, distribution: str, error: Exception) -> str:
    return (
        f"the {what} of the installed package {distribution!r} fails and is left out: "
        f"{type(error).__name__}: {error} "
        f"(set MMSEG_PLUGINS to the names to load, or uninstall {distribution})"
    )


def register() -> None:
    """Make this package at home in MMSegmentation; running it again changes nothing.

    Afterwards our classes answer to their bare names, ``mmseg_deeplab_ext::`` config bases and
    ``mmengine.hub`` work, and PyTorch loads the checkpoints that MMEngine writes.

    Raises:
        EnvironmentNotReadyError: If a needed package is missing, too old, broken or in conflict.
    """
    notes = require_environment()
    if notes:
        warnings.warn(explain(notes), stacklevel=2)

    from mmengine.config.utils import MODULE2PACKAGE

    from mmseg_deeplab_ext import registry
    from mmseg_deeplab_ext.safe_globals import allow_mmengine_checkpoints

    for child in registry.OWN:
        _register_bare_names(child)
    # MMEngine takes the value for a distribution and looks for the package's files next to that
    # distribution's metadata, where an editable install has none. A module's name is no
    # distribution's: for it MMEngine asks the import system, which knows every kind of install.
    MODULE2PACKAGE.setdefault(_OURS, registry.__name__)
    allow_mmengine_checkpoints()


def _register_bare_names(child) -> None:
    """Put a child registry's classes into its parent, except under names that are taken."""
    child.import_from_location()
    taken = set()
    ancestor = child.parent
    while ancestor is not None:
        taken.update(ancestor.module_dict)
        ancestor = ancestor.parent
    for name, cls in child.module_dict.items():
        if name not in taken:
            child.parent.register_module(name=name, module=cls)
