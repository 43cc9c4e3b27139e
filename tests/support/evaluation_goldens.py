"""Reference results of the official evaluation, reduced; the whole ones where they are at hand."""

import json

import numpy as np

from tests.support.golden_files import DATA, FULL, reduced

_FILE = DATA / "evaluation_goldens.npz"


def stored(name):
    """{array name: values} of one golden file as the repository keeps it."""
    found = reduced(name, _FILE.name)
    if "options" in found:
        found["options"] = json.loads(str(found["options"]))
    return found


def names():
    """The golden files of networks."""
    with np.load(_FILE) as arrays:
        found = {key.partition(":")[0] for key in arrays.files}
    return sorted(name for name in found if not name.startswith("aux_"))


def whole_probabilities(name):
    """All probabilities of one golden file; None without the full goldens, or where it has none."""
    path = FULL / f"{name}.npz"
    if not path.exists():
        return None
    with np.load(path) as arrays:
        return arrays["prob"] if "prob" in arrays.files else None
