"""The reference outputs: reduced ones in the repository, the full ones where they are at hand."""

import json
import os
from pathlib import Path

import numpy as np

from tests.data.make_goldens import sample

DATA = Path(__file__).parents[1] / "data"
FULL = Path(os.environ.get("DEEPLAB_GOLDENS", Path(__file__).parents[3] / "shared" / "goldens"))
MANIFEST = json.loads((DATA / "goldens.json").read_text())


def reduced(network, fixture="goldens.npz"):
    """{array name: reduced values} of one golden file, from the fixture that has it."""
    with np.load(DATA / fixture) as arrays:
        prefix = f"{network}:"
        return {k[len(prefix) :]: arrays[k] for k in arrays.files if k.startswith(prefix)}


def full(network):
    """{array name: values} of one network, or None where the full goldens are absent."""
    path = FULL / f"{network}.npz"
    if not path.exists():
        return None
    with np.load(path) as arrays:
        return {k: arrays[k] for k in arrays.files if k not in ("image", "resized_size")}


def relative_error(network, name, computed, references):
    """Largest difference to the reference(s), as a share of the largest reference magnitude.

    Args:
        network: golden file.
        name: array in it.
        computed: [1, C, H, W] tensor of ours.
        references: (reduced, full or None) as the functions above return them.
    """
    entry = MANIFEST["networks"][network]
    ours = computed.permute(0, 2, 3, 1).numpy().astype(np.float64)
    if name in entry["every_8th_channel"]:
        ours = ours[..., ::8]
    described = entry["arrays"][name]
    assert list(ours.shape) == described["shape"], (name, ours.shape, described["shape"])
    errors = [np.abs(sample(ours) - references[0][name]).max()]
    if references[1] is not None:
        errors.append(np.abs(ours - references[1][name]).max())
    return max(errors) / described["max"]
