"""Which keys a class takes, read from the signatures of its constructors."""

from __future__ import annotations

import ast
import inspect
import textwrap
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Callable

from torch import nn

from mmseg_deeplab_ext.registry import SCOPE

_TAKE_NONE = (object, nn.Module)
"""Ends of a chain of constructors; torch's takes ``**kwargs`` only to refuse them."""

_UNREADABLE = (OSError, TypeError, SyntaxError, ValueError)
"""What Python's own inspection raises about C code and the like."""


@dataclass(frozen=True)
class Keys:
    """What a class, or a function, can be called with."""

    names: frozenset[str]
    complete: bool
    """Whether nothing else is taken: else further keywords lead to where no signature tells."""


@lru_cache(maxsize=None)
def keys_of(kind: Callable[..., Any]) -> Keys | None:
    """Read what a class takes by name.

    ``**kwargs`` are followed to the next class only where the constructor does nothing with them
    but to hand them on, which is read from its source. Ours may look at them before.

    Args:
        kind: A class or a function.

    Returns:
        The keys; None where they can't be read.
    """
    if not inspect.isclass(kind):
        found = _of_function(kind)
        return None if found is None else Keys(found[0], found[1] is None)
    if kind.__new__ is not object.__new__:
        return None
    names: set[str] = set()
    for one in kind.__mro__:
        if one in _TAKE_NONE:
            return Keys(frozenset(names), True)
        constructor = vars(one).get("__init__")
        if constructor is None:
            continue
        # A decorator may take, and rename, what it likes.
        found = None if hasattr(constructor, "__wrapped__") else _of_function(constructor)
        if found is None:
            return Keys(frozenset(names), complete=False)
        names |= found[0] - {"self"}
        rest = found[1]
        ours = one.__module__.startswith(f"{SCOPE}.")
        if rest is None or not (ours or _hands_on(constructor, rest)):
            return Keys(frozenset(names), rest is None)
    return None


def _of_function(function: Callable[..., Any]) -> tuple[frozenset[str], str | None] | None:
    """Names of parameters, and the name of ``**kwargs``."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except _UNREADABLE:
        return None
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    rest = [one.name for one in parameters if one.kind is inspect.Parameter.VAR_KEYWORD]
    names = frozenset(one.name for one in parameters if one.kind in named)
    return names, rest[0] if rest else None


def _hands_on(constructor: Callable[..., Any], rest: str) -> bool:
    """Whether ``**rest`` occurs once in a constructor: in a call of another's ``__init__``."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(constructor)))
    except _UNREADABLE:
        return False
    used = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == rest]
    handed = [
        keyword.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "__init__"
        for keyword in node.keywords
        if keyword.arg is None
    ]
    return len(used) == 1 and used[0] in handed
