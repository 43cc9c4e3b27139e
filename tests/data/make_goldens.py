"""Reduce the full golden files of the networks built here to the fixture the repository keeps.

python tests/data/make_goldens.py FOLDER_OF_GOLDENS FOLDER_OF_INVENTORY

Writes goldens.npz (about 60 evenly spread values of every array, its largest magnitude,
and every prediction) and goldens.json (the options of each network, the shape and type of
each array, and a digest of the names and shapes of every official variable).
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

BUILT = ("r18", "r50", "r101", "mnv2", "mnv3", "edgetpu", "x")
INVENTORIES = (
    "resnet_v1_*.json",
    "mobilenet_v2__*.json",
    "mobilenet_v3_*.json",
    "mobilenet_edgetpu__*.json",
    "xception_*.json",
)
LATER = ("bounded v2style noaspp imagepyramid multiscale flip export nearestpred").split()
SAMPLES = 60


def sample(array):
    """About 60 evenly spread values of the flattened array."""
    return array.reshape(-1)[:: max(1, array.size // SAMPLES)]


def variables_digest(names_and_shapes):
    """Digest of a set of (TensorFlow name, shape)."""
    lines = sorted(f"{name} {tuple(shape)}" for name, shape in names_and_shapes)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def main(goldens, inventory):
    """Write both files beside this one."""
    manifest = json.loads((goldens / "MANIFEST.json").read_text())
    networks, arrays = {}, {}
    for name, entry in sorted(manifest.items()):
        if not name.startswith(BUILT) or any(word in name for word in LATER):
            continue
        full = np.load(goldens / f"{name}.npz")
        described = {}
        for array in full.files:
            if array in ("image", "resized_size"):
                continue
            described[array] = {
                "shape": list(full[array].shape),
                "dtype": str(full[array].dtype),
                "max": float(np.abs(full[array]).max()),
            }
            keep = full[array].astype(np.uint8) if array == "prediction" else sample(full[array])
            arrays[f"{name}:{array}"] = keep
        networks[name] = {
            "options": entry["options"],
            "every_8th_channel": entry["every_8th_channel"],
            "arrays": described,
        }
    variables = {}
    for path in sorted(path for names in INVENTORIES for path in inventory.glob(names)):
        listed = json.loads(path.read_text())["variables"]
        variables[path.stem] = {
            "count": len(listed),
            "digest": variables_digest((v["name"], v["shape"]) for v in listed),
        }
    here = Path(__file__).parent
    np.savez_compressed(here / "goldens.npz", **arrays)
    text = json.dumps({"networks": networks, "variables": variables})
    (here / "goldens.json").write_text(text + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
