"""Reduce the golden files of the official evaluation to the fixture the repository keeps.

python tests/data/make_evaluation_goldens.py FOLDER_OF_GOLDENS

Writes evaluation_goldens.npz: of every file over scales, flips, an image pyramid or nearest
upsampling its options (as JSON), its predictions, and about 600 evenly spread probabilities; the
labels, predictions, weights, confusion matrix and score of aux_miou; and every tenth size of
aux_scale_dimension.
"""

import json
import sys
from pathlib import Path

import numpy as np

WORDS = ("multiscale", "flip", "imagepyramid", "nearestpred")
SAMPLES = 600


def sample(array):
    """About 600 evenly spread values of the flattened array."""
    # An odd step does not run along the classes of few pixels.
    return array.reshape(-1)[:: max(1, array.size // SAMPLES) | 1]


def main(goldens):
    """Write the file beside this one."""
    manifest = json.loads((goldens / "MANIFEST.json").read_text())
    arrays = {}
    for name, entry in sorted(manifest.items()):
        if not any(word in name for word in WORDS):
            continue
        full = np.load(goldens / f"{name}.npz")
        arrays[f"{name}:options"] = np.array(json.dumps(entry["options"]))
        arrays[f"{name}:prediction"] = full["prediction"][0].astype(np.uint8)
        if "prob" in full:
            arrays[f"{name}:prob"] = sample(full["prob"])
    miou = np.load(goldens / "aux_miou.npz")
    for key in miou.files:
        small = miou[key].dtype == np.int64
        arrays[f"aux_miou:{key}"] = miou[key].astype(np.uint8) if small else miou[key]
    scaled = np.load(goldens / "aux_scale_dimension.npz")
    for key in scaled.files:
        if not key.startswith("tensor"):
            arrays[f"aux_scale_dimension:{key}"] = scaled[key][::10].astype(np.uint16)
    np.savez_compressed(Path(__file__).parent / "evaluation_goldens.npz", **arrays)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
