"""Folded networks compute the same, and a traced one follows the size of its image."""

import warnings

import pytest
import torch
from mmcv.cnn import ConvAWS2d
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmseg_deeplab_ext.export.tracing import make_traceable
from mmseg_deeplab_ext.inference.folding import folded
from tests.support.golden_files import MANIFEST
from tests.support.golden_networks import GoldenNetwork

# Residual units with two convolutions and with three; depthwise units, two of them strided with
# Conv2dAdaptivePadding; ASPP and decoder separable and dense.
NETWORKS = [
    "r18b_v3plus_os16_65x97",
    "r50b_v3plus_os16_nonsep_aspp_nonsep_decoder_65x97",
    "mnv2_v3plus_os16_65x97",
]


class Segmentor(nn.Module):
    def __init__(self, name):
        super().__init__()
        network = GoldenNetwork(MANIFEST["networks"][name]["options"])
        self.backbone, self.decode_head = network.backbone, network.decode_head

    def forward(self, x):
        return self.decode_head(self.backbone(x))


def run_on(x):
    return lambda module: module(x)


@pytest.fixture(scope="module", params=NETWORKS)
def segmentor(request):
    return Segmentor(request.param).eval()


@torch.no_grad()
def test_a_folded_network_has_no_batch_norm_and_the_same_output_in_float64(segmentor):
    before = {name: value.clone() for name, value in segmentor.state_dict().items()}
    network = segmentor.double()
    x = torch.rand(1, 3, 64, 97, dtype=torch.float64) * 2 - 1
    expected, found = network(x), folded(network, run_on(x))(x)
    assert (found - expected).abs().max() <= 1e-12 * expected.abs().max()
    assert not any(
        isinstance(module, _BatchNorm) for module in folded(network, run_on(x)).modules()
    )
    after = segmentor.float().state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def convs(*order, twice=False):
    """A convolution, batch norm and activation of equal channels, in some order of use."""

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm, self.relu = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.ReLU()

        def forward(self, x):
            first, *others = (getattr(self, name) for name in order)
            x = first(x)
            out = x
            for layer in others:
                out = layer(out)
            return out + x if twice else out

    block = Block().eval()
    nn.init.uniform_(block.norm.running_mean)
    return block


def hooked(name):
    """The same, doubled by a hook on one of its layers."""
    block = convs("conv", "norm", "relu")
    getattr(block, name).register_forward_hook(lambda module, inputs, output: 2 * output)
    return block


@torch.no_grad()
@pytest.mark.parametrize(
    ("block", "norms"),
    [
        (convs("conv", "norm", "relu"), 0),
        (convs("norm", "relu", "conv"), 1),
        (convs("conv", "relu", "norm"), 1),
        (convs("conv", "norm", "relu", twice=True), 1),
        (nn.Sequential(ConvAWS2d(3, 3, 3), nn.BatchNorm2d(3)).eval(), 1),
        (hooked("conv"), 1),
        (hooked("norm"), 1),
    ],
    ids=[
        *("behind", "before", "behind-relu", "used-twice", "standardised-weights"),
        *("looked-at-before", "looked-at-behind"),
    ],
)
def test_only_a_batch_norm_that_alone_takes_a_convolutions_output_is_folded(block, norms):
    x = torch.randn(1, 3, 9, 9)
    found = folded(block, run_on(x))
    assert sum(isinstance(module, _BatchNorm) for module in found.modules()) == norms
    torch.testing.assert_close(found(x), block(x))


@torch.no_grad()
def test_a_traced_network_follows_odd_and_even_sizes(segmentor):
    network = make_traceable(folded(segmentor, run_on(torch.zeros(1, 3, 65, 97))))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        traced = torch.jit.trace(network, torch.zeros(1, 3, 65, 97), check_trace=False)
    for size in ((65, 97), (64, 96), (66, 99), (33, 50), (71, 32)):
        x = torch.rand(1, 3, *size) * 2 - 1
        expected = segmentor(x)
        assert (traced(x) - expected).abs().max() <= 2e-5 * expected.abs().max(), size


def test_a_network_of_unknown_order_keeps_its_batch_norms():
    class Stranger(nn.Module):
        children_in_any_order = True

        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

        def forward(self, x):
            return self.conv(self.norm(x).relu())

    network = nn.Sequential(nn.Conv2d(3, 3, 1), Stranger()).eval()
    network[1].norm.weight.data.fill_(2.0)
    image = torch.randn(1, 3, 5, 5)
    copied = folded(network, run_on(image))
    assert torch.equal(copied(image), network(image))
    assert isinstance(copied[1].norm, nn.BatchNorm2d)
