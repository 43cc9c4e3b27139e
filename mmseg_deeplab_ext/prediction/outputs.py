"""What a prediction is written as: a label map with a palette, and an overlay to look at."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Sequence

import numpy as np
from PIL import Image

from mmseg_deeplab_ext.atomic_files import write_atomically
from mmseg_deeplab_ext.datasets.label_png import encode_label_png
from mmseg_deeplab_ext.errors import PredictionError, UnwritableFileError
from mmseg_deeplab_ext.prediction.pictures import LABELS, OVERLAYS, Picture
from mmseg_deeplab_ext.wording import listed
from mmseg_deeplab_ext.writable import check_output_folders

EXISTING = ("refuse", "replace", "skip")
"""What may be done about files that exist already."""


@dataclass(frozen=True)
class Outputs:
    """Where predictions go.

    Attributes:
        folder: It gets the subfolders ``labels`` (indices of the model's classes, from 0, also
            where the data set's own files count from 1) and, if wanted, ``overlays``.
        overlay: Whether to write overlays.
        opacity: Share of the class's colour in an overlay, 0 to 1.
        existing: Files that exist already: ``refuse`` to begin, ``replace`` them, or ``skip`` the
            images all of whose files are there.

    Raises:
        PredictionError: A value is none of these.
    """

    folder: Path
    overlay: bool = True
    opacity: float = 0.5
    existing: str = "refuse"

    def __post_init__(self) -> None:
        if not 0 <= self.opacity <= 1:
            raise PredictionError(f"The opacity is {self.opacity}; allowed are 0 to 1.")
        if self.existing not in EXISTING:
            raise PredictionError(
                f"existing is {self.existing!r}; allowed are {', '.join(EXISTING)}."
            )

    def check(self, pictures: Sequence[Picture]) -> list[Picture]:
        """Demand, before the work, that everything can be written; makes the folders.

        Returns the pictures to predict: all, or with ``skip`` those that lack a file.
        """
        if self.existing == "refuse":
            self._demand_absence(pictures)
        wanted = [each for each in pictures if self.existing != "skip" or not self._has(each)]
        for folder in sorted({path.parent for each in wanted for path in self._paths(each)}):
            check_output_folders({"--out": str(folder)})
        return wanted

    def _has(self, picture: Picture) -> bool:
        return all(path.is_file() for path in self._paths(picture))

    def _demand_absence(self, pictures: Sequence[Picture]) -> None:
        paths = [path for picture in pictures for path in self._paths(picture)]
        existing = [str(path) for path in paths if path.exists()]
        if existing:
            raise PredictionError(
                f"{len(existing)} of {len(paths)} files to write exist already: "
                f"{listed(existing)}. Choose another --out, or pass "
                "--skip-existing to predict only images that lack a file, or --force to replace "
                "all files."
            )

    def write(
        self, picture: Picture, label: np.ndarray, image: np.ndarray | None, *, colours: np.ndarray
    ) -> None:
        """Write the files of one prediction; each appears whole or not at all.

        Args:
            picture: Which one it is.
            label: (height, width), uint8: indices of classes.
            image: (height, width, 3), uint8, RGB; None where no overlays are wanted.
            colours: (256, 3), uint8; row = index of a class.
        """
        contents = [encode_label_png(label, colours)]
        if image is not None:
            contents.append(_overlay_png(image, colours[label], opacity=self.opacity))
        for path, content in zip(self._paths(picture), contents):
            try:
                write_atomically(path, content)
            except OSError as error:
                reason = error.strerror or error
                raise UnwritableFileError(f"{path} can't be written: {reason}") from error

    def _folders(self) -> list[Path]:
        return [self.folder / name for name in (LABELS, OVERLAYS)[: 1 + self.overlay]]

    def _paths(self, picture: Picture) -> list[Path]:
        return [folder / picture.name for folder in self._folders()]

    def __str__(self) -> str:
        return ", ".join(map(str, self._folders()))


def _overlay_png(image: np.ndarray, painted: np.ndarray, *, opacity: float) -> bytes:
    """Blend an image with the colours of its classes, both (height, width, 3), uint8."""
    blended = Image.blend(Image.fromarray(image), Image.fromarray(painted), opacity)
    buffer = io.BytesIO()
    # The quickest level: the default takes several times as long for a file a tenth smaller.
    blended.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
