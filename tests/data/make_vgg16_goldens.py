"""Take torchvision's outputs of VGG16 that the tests compare with.

python tests/data/make_vgg16_goldens.py ../shared/torchvision
"""

import json
import sys
from pathlib import Path

import numpy as np

SIZES = ("65x97", "96x128")

if __name__ == "__main__":
    source, target = Path(sys.argv[1]), Path(__file__).parent
    with np.load(source / "vgg16.npz") as arrays:
        kept = {name: arrays[name] for name in arrays.files if name.startswith(SIZES)}
        kept["224x224/logits"] = arrays["224x224/logits"]
    np.savez_compressed(target / "vgg16_goldens.npz", **kept)
    shapes = json.loads((source / "vgg16.json").read_text())
    (target / "vgg16_goldens.json").write_text(json.dumps(shapes) + "\n")
