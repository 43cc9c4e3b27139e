"""The progress line."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest

from mmseg_deeplab_ext import progress
from mmseg_deeplab_ext.progress import ProgressLine


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_gets_a_line_per_tenth_and_the_end() -> None:
    log = io.StringIO()
    line = ProgressLine("rendering", total=1000, unit="scenes", stream=log)
    for _ in range(1000):
        line.advance()
    lines = log.getvalue().splitlines()
    assert len(lines) == 11
    assert lines[-1] == "rendering: 100 % (1000 of 1000 scenes)"


def test_a_terminal_gets_one_line_that_moves_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter(range(1, 100))
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    terminal = Terminal()
    line = ProgressLine("reading", total=4, unit="MB", stream=terminal)
    for _ in range(4):
        line.advance()
    assert terminal.getvalue().count("\r") == 3
    assert terminal.getvalue().endswith("reading: 100 % (4 of 4 MB)\n")
