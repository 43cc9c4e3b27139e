"""TensorFlow's data preparation: the repository's reference data, the full one where it is."""

from pathlib import Path

import numpy as np

from tests.data.make_preprocess_goldens import FULL as WHOLE
from tests.data.make_preprocess_goldens import sample
from tests.support.golden_files import DATA, FULL

ARRAYS = dict(np.load(DATA / "preprocess_goldens.npz"))


def golden(name):
    """An array that the fixture keeps in full."""
    return ARRAYS[name]


def shape(name):
    """The shape of an array, whether it is kept in full or not."""
    return tuple(ARRAYS[f"shape/{name}"].tolist())


def largest_difference(name, computed):
    """Largest difference to a reference: to its sample and, where it is at hand, to all of it."""
    assert computed.shape == shape(name), (name, computed.shape)
    whole = name in WHOLE or name.endswith("label") or "_in_" in name
    differences = [_difference(computed if whole else sample(computed), ARRAYS[name])]
    file = "aux_resize" if name.startswith(("bil_", "nn_")) else "aux_preprocess"
    if (Path(FULL) / f"{file}.npz").exists():
        with np.load(FULL / f"{file}.npz") as arrays:
            differences.append(_difference(computed, arrays[name].reshape(computed.shape)))
    return max(differences)


def _difference(computed, reference):
    return np.abs(computed.astype(np.float64) - reference).max()
