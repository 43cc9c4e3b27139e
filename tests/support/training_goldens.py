"""The golden files of training: the reduced ones, and the full ones where they are at hand."""

from __future__ import annotations

import functools

import numpy as np

from tests.data.make_training_goldens import sample
from tests.support.golden_files import FULL, reduced


class Golden:
    """One golden file.

    Args:
        name: of the file, without its suffix.
    """

    def __init__(self, name: str) -> None:
        self.reduced = reduced(name, "training_goldens.npz")
        path = FULL / f"{name}.npz"
        self.full = None
        if path.exists():
            with np.load(path) as arrays:
                self.full = {k: arrays[k] for k in arrays.files}

    def __getitem__(self, name: str) -> np.ndarray:
        """What the fixture keeps of an array."""
        return self.reduced[name]

    def names(self, start: str) -> list[str]:
        """What comes after ``start`` in the names of the arrays that begin with it."""
        return [name[len(start) :] for name in self.reduced if name.startswith(start)]

    def error(self, name: str, computed: np.ndarray) -> float:
        """Largest difference to an array, as a share of the largest reference magnitude.

        Args:
            name: of the array.
            computed: the same of ours, in the shape of the full array.
        """
        return max(_largest(*pair) for pair in self._pairs(name, computed))

    def l2_error(self, name: str, computed: np.ndarray) -> float:
        """L2 norm of the difference to an array, as a share of the reference's norm."""
        return max(_norm(*pair) for pair in self._pairs(name, computed))

    def _pairs(self, name, computed):
        reference = self.reduced[name]
        ours = np.asarray(computed, np.float64)
        yield (ours if reference.shape == ours.shape else sample(ours)), reference
        if self.full is not None:
            assert self.full[name].shape == ours.shape, (name, ours.shape)
            yield ours, self.full[name]


@functools.lru_cache(maxsize=None)
def golden(name: str) -> Golden:
    """The golden file of that name."""
    return Golden(name)


def _largest(ours: np.ndarray, reference: np.ndarray) -> float:
    largest = np.abs(reference).max()
    difference = np.abs(ours - reference).max()
    return float(difference / largest) if largest else float(difference)


def _norm(ours: np.ndarray, reference: np.ndarray) -> float:
    return float(np.linalg.norm(ours - reference) / np.linalg.norm(reference))
