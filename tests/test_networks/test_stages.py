"""Every tensor inside a network equals the official TensorFlow graph's, where the files are."""

import json

import numpy as np
import pytest
import torch

from tests.support.deterministic import make_image
from tests.support.golden_files import FULL, full
from tests.support.golden_networks import GoldenNetwork, normalised

STAGES = FULL / "STAGES.json"
NETWORKS = (
    "stages_edgetpu_slim_zoo_os16_33x49",
    "stages_edgetpu_zoo_os16_48x64",
    "stages_edgetpu_zoo_os32_33x65",
    "stages_mnv3_large_v3plus_os16_48x64",
    "stages_mnv3_large_zoo_os32_33x225",
    "stages_mnv3_small_v3plus_os16_49x65",
    "stages_mnv3_small_zoo_os32_65x97",
    "stages_x41_v3plus_os16_33x49",
    "stages_x65_v3plus_os16_33x49",
    "stages_x65_v3plus_os8_32x48",
    "stages_x71_v3plus_os16_33x49",
)
TOLERANCE = {torch.float64: (1e-9, 1e-9), torch.float32: (1e-5, 1e-4)}
"""Share of max|reference| that logits, and the arrays before them, may differ by."""


@pytest.mark.skipif(not STAGES.exists(), reason="the full goldens are not here")
@pytest.mark.parametrize("name", NETWORKS)
def test_every_tensor_equals_tensorflows(name):
    entry, references = json.loads(STAGES.read_text())[name], full(name)
    options = entry["options"]
    network = GoldenNetwork(options)
    image = normalised(make_image(*options["image_size"], options["image_seed"]), options)
    del references["prediction"]
    for dtype, tolerances in reversed(TOLERANCE.items()):  # widening last: weights stay exact
        outputs = network.to(dtype).outputs(image.to(dtype))
        for array, expected in references.items():
            ours = outputs[array].permute(0, 2, 3, 1).numpy().astype(np.float64)
            ours = ours[..., ::8] if array in entry["every_8th_channel"] else ours
            error = np.abs(ours - expected).max() / np.abs(expected).max()
            assert ours.shape == expected.shape, array
            assert error <= tolerances["logits" not in array], (array, dtype, error)
