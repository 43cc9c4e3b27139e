"""VGG16: torchvision's classifier, run on images of any size."""

import json
import re

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mmseg_deeplab_ext.backbones import VGG16
from mmseg_deeplab_ext.errors import ConfigError
from tests.support.golden_files import DATA
from tests.support.torchvision_goldens import normalised_image, weights

SHAPES = json.loads((DATA / "vgg16_goldens.json").read_text())
STAGES = {name: shape for name, shape in SHAPES.items() if name.startswith("features.")}


@pytest.fixture(scope="module")
def goldens():
    with np.load(DATA / "vgg16_goldens.npz") as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def relative_error(ours, reference):
    assert ours.shape == reference.shape
    return (ours - reference).abs().max() / reference.abs().max()


def small(**arguments):
    """A network with narrow fc6 and fc7."""
    return VGG16(fc_channels=4, **arguments).eval()


def classifiers_weights(channels):
    """fc6 and fc7 of a classifier, fully connected."""
    torch.manual_seed(0)
    state = {"classifier.0.weight": torch.randn(channels, 512 * 7 * 7) / 200}
    state["classifier.3.weight"] = torch.randn(channels, channels)
    return {
        **state,
        "classifier.0.bias": torch.ones(channels),
        "classifier.3.bias": torch.ones(channels),
    }


def test_the_stages_equal_torchvisions_on_every_size(goldens):
    network = VGG16(out_indices=(2, 3, 4)).double().eval()
    network.load_state_dict(weights(STAGES), strict=True)
    for size in ("65x97", "96x128"):
        with torch.no_grad():
            outputs = network(normalised_image(*map(int, size.split("x"))))
        for number, output in enumerate(outputs, start=3):
            assert relative_error(output[:, ::16], goldens[f"{size}/pool{number}"]) < 1e-12


@pytest.mark.slow
def test_without_padding_it_is_the_classifier_on_images_of_224_pixels(goldens):
    state = weights(SHAPES)
    score = (state.pop("classifier.6.weight").double()[..., None, None],
             state.pop("classifier.6.bias").double())  # fmt: skip
    with torch.device("meta"):
        network = VGG16(padding=0, out_indices=(5,)).eval()
    network = network.to_empty(device="cpu").double()
    network.load_state_dict(state, strict=True)
    with torch.no_grad():
        (fc7,) = network(normalised_image(224, 224))
        logits = F.conv2d(fc7, *score)[..., 0, 0]
    assert relative_error(logits, goldens["224x224/logits"]) < 1e-12


def test_fully_connected_weights_become_kernels_that_compute_the_same():
    state = classifiers_weights(4)
    network = small(padding=0)
    missing, unexpected = network.load_state_dict(state, strict=False)
    assert unexpected == []
    assert all(name.startswith("features.") for name in missing)
    pool5 = torch.randn(2, 512, 7, 7)
    fc6 = F.linear(pool5.flatten(1), state["classifier.0.weight"], state["classifier.0.bias"])
    fc7 = F.linear(fc6.relu(), state["classifier.3.weight"], state["classifier.3.bias"]).relu()
    with torch.no_grad():
        torch.testing.assert_close(network.classifier(pool5)[..., 0, 0], fc7)


def test_a_classifiers_file_fills_all_of_a_segmentors_backbone(tmp_path):
    state = {**weights(STAGES), **classifiers_weights(4), "classifier.6.bias": torch.ones(1000)}
    torch.save(state, tmp_path / "vgg16.pth")
    network = VGG16(
        fc_channels=4, init_cfg=dict(type="Pretrained", checkpoint=str(tmp_path / "vgg16.pth"))
    )
    network.init_weights()
    for name, value in network.state_dict().items():
        assert torch.equal(value.flatten(), state[name].flatten()), name


def test_ssds_weights_fill_the_stages_alone():
    ssd = {"features.31.weight": torch.ones(1024, 512, 3, 3), "features.33.bias": torch.ones(1024)}
    missing, unexpected = small().load_state_dict({**weights(STAGES), **ssd}, strict=False)
    assert set(unexpected) == set(ssd)
    assert set(missing) == set(classifiers_weights(4))


def test_weights_of_another_width_are_refused():
    with pytest.raises(RuntimeError, match=r"size mismatch for classifier\.0\.weight"):
        small().load_state_dict(classifiers_weights(8), strict=False)


def test_the_outputs_are_the_stages_and_fc7_at_their_strides():
    with torch.no_grad():
        outputs = small(out_indices=(0, 1, 2, 3, 4, 5))(torch.zeros(1, 3, 64, 96))
    assert [(o.shape[1], 64 // o.shape[2], 96 // o.shape[3]) for o in outputs] == [
        (64, 2, 2), (128, 4, 4), (256, 8, 8), (512, 16, 16), (512, 32, 32), (4, 32, 32)
    ]  # fmt: skip


def test_fc6_and_fc7_exist_only_where_they_are_returned():
    assert list(VGG16(out_indices=(0, 4)).state_dict()) == list(STAGES)


@pytest.mark.parametrize(("padding", "smallest"), [(3, 32), (0, 224)])
def test_images_too_small_for_fc6_are_refused_with_what_helps(padding, smallest):
    network = small(padding=padding, out_indices=(4,))
    with pytest.raises(
        ConfigError, match=f"40 x {smallest - 1}: .* {smallest} pixels.*padding=100"
    ):
        network(torch.zeros(1, 3, 40, smallest - 1))


@pytest.mark.parametrize("size", [(1, 1), (5, 31), (33, 64)])
def test_the_papers_padding_takes_every_size_and_hands_the_image_on(size):
    image = torch.zeros(1, 3, *size)
    with torch.no_grad():
        fc7, last = small(padding=100, out_indices=(5,))(image)
    # pad: 100 in the first convolution, pools that round up, fc6 without padding.
    assert fc7.shape[-2:] == tuple(-(-(side + 198) // 32) - 6 for side in size)
    assert last is image


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(padding=1), "padding=1 is not supported: use one of 0, 3, 100"),
        (dict(out_indices=(5, 2)), "out_indices=(5, 2) must be ascending"),
        (dict(out_indices=(6,)), "from 0 to 5"),
    ],
)
def test_an_impossible_argument_is_refused_with_the_allowed_values(arguments, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        VGG16(**arguments)
