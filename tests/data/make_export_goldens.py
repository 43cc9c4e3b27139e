"""Reduce the golden files of the official export to the fixture the repository keeps.

python tests/data/make_export_goldens.py FOLDER_OF_GOLDENS

Writes export_goldens.npz: of every file its options (as JSON), its predictions, and about 600
evenly spread probabilities.
"""

import json
import sys
from pathlib import Path

import numpy as np

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
        if entry["options"].get("mode") != "export":
            continue
        full = np.load(goldens / f"{name}.npz")
        arrays[f"{name}:options"] = np.array(json.dumps(entry["options"]))
        arrays[f"{name}:SemanticPredictions"] = full["SemanticPredictions"].astype(np.uint8)
        arrays[f"{name}:SemanticProbabilities"] = sample(full["SemanticProbabilities"])
    np.savez_compressed(Path(__file__).parent / "export_goldens.npz", **arrays)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
