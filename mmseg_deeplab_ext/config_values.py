"""Checks of config values that several classes share."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any, Collection, Sequence

from mmseg_deeplab_ext.errors import ConfigError


def is_whole(value: Any, *, minimum: int) -> bool:
    """Tell whether a value is a whole number of at least ``minimum`` (True is none)."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= minimum


def is_number(value: Any, *, above: float = -math.inf) -> bool:
    """Tell whether a value is a finite real number greater than ``above`` (True is none)."""
    real = isinstance(value, Real) and not isinstance(value, bool)
    return real and above < float(value) < math.inf


def whole_numbers(name: str, value: Any, *, minimum: int, count: int | None = None) -> tuple:
    """Return a list of whole numbers as a tuple.

    Args:
        name: key in the config, for the message.
        value: what the config says.
        minimum: smallest allowed number.
        count: how many there must be; any number of at least one if None.

    Raises:
        ConfigError: if the value is anything else.
    """
    good = isinstance(value, (list, tuple)) and all(is_whole(v, minimum=minimum) for v in value)
    if not good or len(value) != (count or max(1, len(value))):
        wanted = f"{count} whole numbers" if count else "a list of whole numbers"
        raise ConfigError(f"{name}={value!r} must be {wanted} of at least {minimum}")
    return tuple(value)


def ascending_numbers(name: str, value: Any, *, allowed: Collection[int], meaning: str) -> tuple:
    """Return a list of different whole numbers in ascending order as a tuple.

    Args:
        name: key in the config, for the message.
        value: what the config says.
        allowed: the numbers that there are.
        meaning: of the numbers, for the message.

    Raises:
        ConfigError: if the value is anything else.
    """
    chosen = whole_numbers(name, value, minimum=0)
    if list(chosen) != sorted({*chosen} & {*allowed}):
        raise ConfigError(
            f"{name}={chosen} must be ascending and different numbers from {min(allowed)} to "
            f"{max(allowed)} ({meaning})"
        )
    return chosen


def check_choice(name: str, value: int, allowed: Sequence[int]) -> None:
    """Raise a ConfigError unless the value is one of the allowed whole numbers."""
    if not is_whole(value, minimum=min(allowed)) or value not in allowed:
        raise ConfigError(
            f"{name}={value!r} is not supported: use one of {', '.join(map(str, allowed))}"
        )


def check_positive(name: str, value: Any, *, hint: str) -> None:
    """Raise a ConfigError unless the value is a finite number greater than 0 (True is none)."""
    if not is_number(value, above=0):
        raise ConfigError(f"{name}={value!r} must be a number greater than 0: {hint}")
