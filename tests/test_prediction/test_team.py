"""What processes that share a run tell each other, here through a store in one process."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from torch.distributed import HashStore

from mmseg_deeplab_ext.errors import PredictionError
from mmseg_deeplab_ext.prediction import team as team_module
from mmseg_deeplab_ext.prediction.pictures import Picture
from mmseg_deeplab_ext.prediction.report import Report, Tally
from mmseg_deeplab_ext.prediction.team import Team

PICTURES = [Picture(Path(f"/in/{n}\udce4.png"), Path(f"{n}\udce4.png")) for n in range(100)]

PORTION = 3
"""What 2 processes take of 100 pictures at a time."""


@pytest.fixture
def team(monkeypatch):
    """Two processes that meet at one store."""
    store, ranks = HashStore(), iter(range(2))
    monkeypatch.setattr(team_module, "connect_store", lambda launcher: (store, next(ranks), 2))
    monkeypatch.setattr(team_module, "_PAUSE", 0)
    return [Team("pytorch"), Team("pytorch")]


def test_each_picture_is_taken_once_by_whoever_is_free(team):
    first, second = team[0].share(PICTURES), team[1].share([])
    begun = [next(first), next(second)]
    assert begun == [PICTURES[0], PICTURES[PORTION]]
    rest = list(second)  # the first process is busy
    assert rest == PICTURES[PORTION + 1 :]
    assert list(first) == PICTURES[1:PORTION]


def test_one_process_takes_the_pictures_as_they_are():
    assert list(Team().share(PICTURES)) == PICTURES


def test_the_first_process_reports_what_happened_in_all(team):
    tallies = [Tally(each, total=4) for each in team]
    tallies[0].predicted()
    tallies[1].predicted()
    tallies[1].failed(PICTURES[0], "too large")
    tallies[1].larger(PICTURES[1])
    reports = [Report(total=4), Report()]
    for tally, report in zip(tallies, reports):
        tally.tell(report)
    assert (reports[0].predicted, reports[0].not_reached) == (2, 1)
    assert reports[0].failures == {PICTURES[0].path: "too large"}
    assert (reports[0].larger, reports[0].larger_example) == (1, PICTURES[1].path)
    assert reports[1] == Report()


def test_one_line_shows_the_progress_of_all(team, capsys):
    tallies = [Tally(each, total=2) for each in team]
    for tally in reversed(tallies):
        tally.predicted()
    for tally in reversed(tallies):
        tally.wait_for_the_others()
    assert capsys.readouterr().err == "predicting: 100 % (2 of 2 images)\n"


def test_the_others_come_after_the_first_and_end_quietly_if_it_fails(team):
    with pytest.raises(PredictionError, match="wrong"), team[0].first_alone():
        raise PredictionError("wrong")
    with pytest.raises(SystemExit) as caught, team[1].first_alone():
        raise AssertionError("not reached")
    assert caught.value.code == 1


def test_a_process_that_never_ends_is_not_waited_for_without_end(team, monkeypatch):
    seconds = iter(range(0, 10**6, 600))
    clock = SimpleNamespace(monotonic=lambda: next(seconds), sleep=lambda pause: None)
    monkeypatch.setattr(team_module, "time", clock)
    with pytest.raises(PredictionError, match="1 of 2 processes have predicted nothing for 30 min"):
        list(team[0].wait_for_the_others())


def test_a_store_that_is_gone_is_said_without_a_traceback(team, monkeypatch):
    def gone(*arguments):
        raise RuntimeError("Connection reset by peer")

    monkeypatch.setattr(team[1], "_store", SimpleNamespace(add=gone))
    with pytest.raises(PredictionError, match="list of images is gone .*: Connection reset"):
        team[1].count("predicted")
