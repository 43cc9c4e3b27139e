"""What a run has come to, counted while it goes on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from mmseg_deeplab_ext.prediction.pictures import Picture
from mmseg_deeplab_ext.prediction.team import DONE, WINDOWS, Team
from mmseg_deeplab_ext.progress import ProgressLine


@dataclass
class Report:
    """What came of a run, in all its processes; where it ended early, of it so far.

    Attributes:
        total: Number of images found; 0 in all processes but the first, which reports.
        predicted: Number of images predicted, with all their files written.
        passed_over: Number of images whose files were there already.
        seconds: Time from the first image read to the last file written.
        device: Where the segmentor ran.
        failures: Image files that could not be predicted or written, and why.
        larger: Number of images predicted whole that are larger than the config's crop.
        larger_example: One of these.
        crop: That crop, (height, width).
    """

    total: int = 0
    predicted: int = 0
    passed_over: int = 0
    seconds: float = 0.0
    device: str = ""
    failures: dict[Path, str] = field(default_factory=dict)
    larger: int = 0
    larger_example: Path | None = None
    crop: tuple[int, int] | None = None

    @property
    def not_reached(self) -> int:
        """Number of images that the run ended before."""
        return self.total - self.predicted - self.passed_over - len(self.failures)


class Tally:
    """Counts images as they are done, for all processes, from any thread of each.

    The first process shows the progress of all.

    Args:
        team: The processes.
        total: Number of images that the first process wants predicted.
    """

    def __init__(self, team: Team, *, total: int) -> None:
        self._team = team
        self._line = ProgressLine("predicting", total=total, unit="images")
        self._lock = Lock()
        self._unwritten = self._shown = 0

    def predicted(self) -> None:
        """Count an image as predicted and written."""
        with self._lock:
            self._team.count("predicted")
            self._unwritten = 0
            self._done()

    def failed(self, picture: Picture, reason: str) -> None:
        """Count an image as failed, for a reason to be told to the user."""
        with self._lock:
            self._team.note("failed", [str(picture.path), reason])
            self._done()

    def unwritten(self, picture: Picture, reason: str) -> int:
        """Count an image as failed since a file can't be written; returns how many in a row."""
        self.failed(picture, reason)
        with self._lock:
            self._unwritten += 1
            return self._unwritten

    def larger(self, picture: Picture) -> None:
        """Count an image as larger than the crop."""
        if self._team.count("larger") == 1:
            self._team.note("larger example", str(picture.path))

    def windows(self, done: int, total: int, *, images: int) -> None:
        """Show how far the windows are that slide over the next images."""
        self._team.count(WINDOWS)
        if self._team.leads and total > 1:
            part, note = images * done / total, f", {done} of {total} windows of the next"
            with self._lock:
                self._line.reach(self._shown, part=part, note=note)

    def wait_for_the_others(self) -> None:
        """Call when all images of this process are done; the first shows those of the others."""
        for done in self._team.wait_for_the_others():
            self._show(done)

    def tell(self, report: Report) -> None:
        """Fill in what was counted, if this is the first process."""
        if self._team.leads:
            report.predicted = self._team.count("predicted", by=0)
            report.failures = {Path(path): why for path, why in self._team.notes("failed")}
            report.larger = self._team.count("larger", by=0)
            for path in self._team.notes("larger example"):
                report.larger_example = Path(path)

    def _done(self) -> None:
        self._show(self._team.count(DONE))

    def _show(self, done: int) -> None:
        if self._team.leads and done > self._shown:
            self._line.reach(done)
            self._shown = done
