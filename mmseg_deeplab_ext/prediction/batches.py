"""Work in threads, and batches of equal shapes, with a bounded number of images in memory."""

from __future__ import annotations

from collections import defaultdict, deque
from concurrent.futures import Executor, Future
from typing import Any, Callable, Hashable, Iterable, Iterator, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_WAITING = 4
"""How many batches' worth of images may wait for others of their shape."""


def bounded_map(
    pool: Executor, work: Callable[[Item], Result], items: Iterable[Item], *, at_once: int
) -> Iterator[Result]:
    """Like ``map``, in order, with up to ``at_once`` items being worked on in the pool.

    Unlike ``Executor.map`` it does not start on all the items at once.
    """
    waiting: deque[Future] = deque()
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) >= at_once:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def batches(
    items: Iterable[Item], *, size: int, key: Callable[[Item], Hashable]
) -> Iterator[list[Item]]:
    """Gather items with equal keys.

    Batches have ``size`` items, fewer at the end, and where items with many different keys wait.
    """
    waiting: dict[Any, list[Item]] = defaultdict(list)
    for item in items:
        group = key(item)
        waiting[group].append(item)
        if len(waiting[group]) < size:
            if sum(map(len, waiting.values())) < _WAITING * size:
                continue
            group = max(waiting, key=lambda each: len(waiting[each]))
        yield waiting.pop(group)
    yield from waiting.values()
