"""What a run has come to, counted while it goes on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from mmseg_deeplab_ext.prediction.pictures import Picture
from mmseg_deeplab_ext.progress import ProgressLine


@dataclass
class Report:
    """What came of a run; while it goes on, or where it ended early, of it so far.

    Attributes:
        total: Number of images found.
        predicted: Number of images predicted, with all their files written.
        passed_over: Number of images whose files were there already.
        seconds: Time from the first image read to the last file written.
        device: Where the segmentor ran.
        failures: Image files that could not be predicted or written, and why.
        larger: Images predicted whole that are larger than the config's crop.
        crop: That crop, (height, width).
    """

    total: int = 0
    predicted: int = 0
    passed_over: int = 0
    seconds: float = 0.0
    device: str = ""
    failures: dict[Path, str] = field(default_factory=dict)
    larger: list[Path] = field(default_factory=list)
    crop: tuple[int, int] | None = None

    @property
    def not_reached(self) -> int:
        """Number of images that the run ended before."""
        return self.total - self.predicted - self.passed_over - len(self.failures)


class Tally:
    """Counts images into a report as they are done, from any thread, and shows the progress."""

    def __init__(self, report: Report, *, total: int) -> None:
        self._report = report
        self._line = ProgressLine("predicting", total=total, unit="images")
        self._lock = Lock()
        self._unwritten = 0

    def predicted(self) -> None:
        """Count an image as predicted and written."""
        with self._lock:
            self._report.predicted += 1
            self._unwritten = 0
            self._line.advance()

    def failed(self, picture: Picture, reason: str) -> None:
        """Count an image as failed, for a reason to be told to the user."""
        with self._lock:
            self._report.failures[picture.path] = reason
            self._line.advance()

    def unwritten(self, picture: Picture, reason: str) -> int:
        """Count an image as failed since a file can't be written; returns how many in a row."""
        self.failed(picture, reason)
        with self._lock:
            self._unwritten += 1
            return self._unwritten
