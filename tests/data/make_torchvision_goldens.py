"""Reduce torchvision's reference outputs to the fixture that the repository keeps.

python -m tests.data.make_torchvision_goldens FOLDER

FOLDER has, for every network, a JSON with the names and shapes of its state dict, and for some a
.npz with outputs in float64. Writes torchvision_goldens.npz: all names and shapes, and of every
output about 60 evenly spread values and the largest magnitude.
"""

import json
import sys
from pathlib import Path

import numpy as np

from tests.data.make_goldens import sample

SEGMENTATION = ("fcn_", "deeplabv3_", "lraspp_")


def main(folder):
    """Write the file beside this one."""
    names, arrays = {}, {}
    for path in sorted(folder.glob("*.json")):
        if path.stem.startswith(SEGMENTATION):
            names[path.stem] = json.loads(path.read_text())
    for network in names:
        if not (folder / f"{network}.npz").exists():
            continue
        full = np.load(folder / f"{network}.npz")
        for array in full.files:
            arrays[f"{network}:{array}"] = sample(full[array])
            arrays[f"{network}:{array}:max"] = np.abs(full[array]).max()
    names = np.frombuffer(json.dumps(names).encode(), np.uint8)
    np.savez_compressed(Path(__file__).parent / "torchvision_goldens.npz", names=names, **arrays)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
