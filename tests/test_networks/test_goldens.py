"""Every network equals the official TensorFlow graph, intermediate taps included.

A failure names the array. Look at the arrays in the order of the network (conv1_3, block1, ...;
layer_4, layer_7, ...): the first one that differs is where the mistake is.
"""

import numpy as np
import pytest
import torch
from mmseg.models.utils import resize

from tests.support.deterministic import make_image
from tests.support.golden_files import MANIFEST, full, reduced, relative_error
from tests.support.golden_networks import GoldenNetwork, normalised

NETWORKS = sorted(MANIFEST["networks"])
TOLERANCE = {  # (our type, stored type): share of max|reference|
    (torch.float64, "float64"): 1e-9,
    (torch.float64, "float32"): 1e-7,
    (torch.float32, "float64"): 1e-5,
    (torch.float32, "float32"): 1e-5,
}


@pytest.fixture(scope="module", params=NETWORKS)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def network(name):
    return GoldenNetwork(MANIFEST["networks"][name]["options"])


def run(network, dtype):
    options = network.options
    image = make_image(*options["image_size"], options["image_seed"])
    # TensorFlow normalises in float32, whatever the type of the network.
    return network.to(dtype).outputs(normalised(image, options).to(dtype))


def test_every_output_equals_tensorflows(name, network):
    references = reduced(name), full(name)
    for dtype in (torch.float32, torch.float64):  # widening last: the weights stay exact
        outputs = run(network, dtype)
        for array, described in MANIFEST["networks"][name]["arrays"].items():
            if array == "prediction":
                _check_prediction(name, outputs["logits"], references)
                continue
            error = relative_error(name, array, outputs[array], references)
            assert error <= TOLERANCE[dtype, described["dtype"]], (array, dtype, error)


def _check_prediction(name, logits, references):
    """The same class at every pixel whose top two logits differ by more than the tolerance."""
    expected = references[0]["prediction"][0]
    upsampled = resize(logits, size=expected.shape, mode="bilinear", align_corners=True)[0]
    top = upsampled.topk(2, dim=0).values
    clear = (top[0] - top[1] > 1e-5 * logits.abs().max()).numpy()
    assert clear.mean() > 0.99
    assert np.array_equal(upsampled.argmax(dim=0).numpy()[clear], expected[clear])
    if references[1] is not None:
        assert np.array_equal(expected, references[1]["prediction"][0])


def test_every_variable_of_the_graph_has_one_rule(network):
    rules = network.rules()
    assert len({rule.tf_name for rule in rules}) == len(rules) == network.options["n_variables"]


def test_the_goldens_cover_every_network_and_odd_and_even_sizes():
    options = [entry["options"] for entry in MANIFEST["networks"].values()]
    resnets, mobilenets, threes, edges, xceptions = families = [
        [o for o in options if o["model_variant"].startswith(family)]
        for family in (
            "resnet_v1_",
            "mobilenet_v2",
            "mobilenet_v3",
            "mobilenet_edgetpu",
            "xception_",
        )
    ]
    assert {o["model_variant"] for o in resnets} == {
        f"resnet_v1_{depth}{stem}" for depth in (18, 50, 101) for stem in ("", "_beta")
    }
    assert {o.get("depth_multiplier", 1) for o in mobilenets} == {0.5, 1}
    assert {o["model_variant"] for o in threes} == {
        f"mobilenet_v3_{arch}_seg" for arch in ("large", "small")
    }
    assert {o.get("depth_multiplier", 1) for o in edges} == {0.75, 1}
    assert {o["model_variant"] for o in xceptions} == {f"xception_{n}" for n in (41, 65, 71)}
    for family in families:
        assert {size % 2 for o in family for size in o["image_size"]} == {0, 1}
