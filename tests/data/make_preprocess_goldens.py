"""Reduce the golden files of TensorFlow's data preparation to the fixture the repository keeps.

python tests/data/make_preprocess_goldens.py FOLDER_OF_GOLDENS

Writes preprocess_goldens.npz: inputs, sizes and labels in full, about 300 evenly spread values of
every other output. Keys are those of the golden files, ``aux_resize``'s for a few sizes only.
"""

import sys
from pathlib import Path

import numpy as np

RESIZES = ("1x1_to_5x7", "5x7_to_17x25", "9x13_to_1x1", "3x4_to_10x1", "16x24_to_64x96")
FULL = ("image", "label", "resize_to_range_h_w_min_max_factor_outh_outw")
SAMPLES = 300


def sample(array):
    """About 300 evenly spread values of the flattened array."""
    return array.reshape(-1)[:: max(1, array.size // SAMPLES)]


def reduce(name, array):
    """What the fixture keeps of an array."""
    if name.endswith("label"):
        return array.astype(np.uint8)
    return array if name in FULL or "_in_" in name else sample(array)


def main(goldens):
    """Write the fixture beside this file."""
    arrays = dict(np.load(goldens / "aux_preprocess.npz"))
    resizes = np.load(goldens / "aux_resize.npz")
    for size in RESIZES:
        for kind in ("bil_in", "bil_out", "nn_in", "nn_out"):
            arrays[f"{kind}_{size}"] = resizes[f"{kind}_{size}"][0]
    kept = {name: reduce(name, array) for name, array in arrays.items()}
    kept.update({f"shape/{name}": np.array(array.shape) for name, array in arrays.items()})
    np.savez_compressed(Path(__file__).with_name("preprocess_goldens.npz"), **kept)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
