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


def test_parts_of_a_step_count_and_are_named() -> None:
    log = io.StringIO()
    line = ProgressLine("predicting", total=2, unit="images", stream=log)
    for window in range(1, 9):
        line.reach(0, part=window / 8, note=f", {window} of 8 windows")
    line.reach(1)
    lines = log.getvalue().splitlines()
    assert lines[1] == "predicting:  12 % (0 of 2 images, 2 of 8 windows)"
    assert lines[-1] == "predicting:  50 % (0 of 2 images, 8 of 8 windows)"
    assert len(lines) == 6


def test_a_shorter_line_in_a_terminal_covers_the_longer_one_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seconds = iter(range(1, 100))
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    terminal = Terminal()
    line = ProgressLine("predicting", total=1, unit="images", stream=terminal)
    line.reach(0, note=", 1 of 8 windows")
    line.reach(1)
    first, second = terminal.getvalue().split("\r")
    assert len(second.rstrip("\n")) == len(first)
