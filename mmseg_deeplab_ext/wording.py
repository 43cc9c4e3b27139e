"""Pieces of messages."""

from __future__ import annotations

from typing import Any, Sequence


def listed(items: Sequence[Any], *, most: int = 10, separator: str = ", ") -> str:
    """The items, or the first ``most`` of them and how many more there are.

    Args:
        items: what is listed; empty gives an empty string.
        most: how many are shown.
        separator: between them; with a line break in it, the rest's number has its own line.
    """
    shown = separator.join(map(str, items[:most]))
    last = separator if "\n" in separator else " "
    return shown + f"{last}and {len(items) - most} more" * (len(items) > most)
