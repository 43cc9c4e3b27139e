"""Pieces of messages."""

from __future__ import annotations

from typing import Sequence

_LISTED = 10


def listed(items: Sequence[str], separator: str = ", ") -> str:
    """The items, or the first 10 of them and how many more there are."""
    more = f"{separator}and {len(items) - _LISTED} more" * (len(items) > _LISTED)
    return separator.join(items[:_LISTED]) + more
