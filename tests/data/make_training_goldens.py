"""Reduce the golden files of training to the fixture the repository keeps.

python tests/data/make_training_goldens.py FOLDER_OF_GOLDENS

Writes training_goldens.npz: what the tests feed and every small array whole, about 20 evenly spread
values of every other one.
"""

import sys
from pathlib import Path

import numpy as np

FILES = ("aux_loss", "aux_learning_rate", "aux_bn_train_r50b", "aux_gradients_f64_r50b")
FILES += ("aux_train_step_r50b",)
FED = ("logits", "labels", "label_weights")  # "logits" of aux_loss; elsewhere it is an output
LISTS = ("grad_names", "grad_norms", "gradient_multiplier")
# Images that tests/support/deterministic.py makes, and what no test reads.
LEFT_OUT = ("input", "variables_after_training", "reg_names", "gradient_multipliers")
WHOLE = 50  # values
SAMPLES = 20


def sample(array):
    """About 20 evenly spread values of the flattened array."""
    return array.reshape(-1)[:: max(1, array.size // SAMPLES)]


def reduced(file, name, array):
    """What the fixture keeps of an array; None for nothing."""
    if name in LEFT_OUT:
        return None
    if name == "labels":
        return array.astype(np.uint8)
    if array.size <= WHOLE or name in LISTS or (file == "aux_loss" and name in FED):
        return array
    return sample(array)


def main(goldens):
    """Write the file beside this one."""
    kept = {}
    for file in FILES:
        with np.load(goldens / f"{file}.npz") as arrays:
            for name in arrays.files:
                values = reduced(file, name, arrays[name])
                if values is not None:
                    kept[f"{file}:{name}"] = values
    np.savez_compressed(Path(__file__).parent / "training_goldens.npz", **kept)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
