"""A progress line that reads well in a terminal and in a log file."""

from __future__ import annotations

import sys
import time
from typing import TextIO


class ProgressLine:
    """Say how far a loop has come: one moving line in a terminal, a line per tenth in a log.

    Args:
        title: What is being done, such as ``"rendering"``.
        total: How many steps there are.
        unit: What a step is, in the plural.
        stream: Where to write, standard error when not given.
    """

    def __init__(self, title: str, *, total: int, unit: str, stream: TextIO | None = None) -> None:
        self._title, self._total, self._unit = title, total, unit
        self._stream = sys.stderr if stream is None else stream
        self._in_place = self._stream.isatty()
        self._done = 0
        self._shown_at, self._shown_tenth = 0.0, -1
        self._width = 0

    def advance(self) -> None:
        """Count a step as done and show the line where it is due."""
        self.reach(self._done + 1)

    def reach(self, done: int, *, part: float = 0.0, note: str = "") -> None:
        """Count so many steps as done and show the line where it is due.

        Args:
            done: The steps.
            part: What is done of those that follow, counted in steps.
            note: What the line says of that part.
        """
        self._done = done
        share = min((self._done + part) / max(self._total, 1), 1.0)
        tenth = int(10 * share)
        now = time.monotonic()
        finished = self._done >= self._total
        due = now - self._shown_at >= 0.1 if self._in_place else tenth > self._shown_tenth
        if not due and not finished:
            return
        self._shown_at, self._shown_tenth = now, tenth
        counted = f"{self._done} of {self._total} {self._unit}{note}"
        line = f"{self._title}: {int(100 * share):3d} % ({counted})"
        if self._in_place:
            line = line.ljust(self._width)  # over a longer one
            self._width = len(line.rstrip())
        end = "\r" if self._in_place and not finished else "\n"
        print(line, end=end, file=self._stream, flush=True)
