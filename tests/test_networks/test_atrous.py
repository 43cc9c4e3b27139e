"""Networks made dense: to_output_stride, its proof, and what it refuses."""

from __future__ import annotations

import functools

import mmcv.cnn
import pytest
import torch
from mmseg.registry import MODELS
from mmseg.utils import register_all_modules
from torch import nn
from torch.nn import functional as F

from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.layers.atrous import (
    apply_plan,
    plan_output_stride,
    to_output_stride,
    trace,
)
from mmseg_deeplab_ext.layers.atrous.dense_pools import DenseAvgPool2d, DenseMaxPool2d
from mmseg_deeplab_ext.layers.atrous.end_points import find_end_points
from mmseg_deeplab_ext.layers.atrous.proof import prove
from tests.support.dense_proof import SIZE, lively, proof_of

register_all_modules()


def conv(inputs, outputs, kernel=3, **arguments):
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, **arguments)


class Preactivated(nn.Module):
    """A pre-activation unit; its shortcut subsamples with a pool, as DenseNet's transitions do."""

    def __init__(self, width, stride):
        super().__init__()
        self.norm, self.relu = nn.BatchNorm2d(width), nn.ReLU()
        self.conv = conv(width, width, 5, stride=stride, groups=width)
        self.pool = nn.AvgPool2d(stride, stride, ceil_mode=True) if stride > 1 else nn.Identity()

    def forward(self, x):
        return self.conv(self.relu(self.norm(x))) + self.pool(x)


def chain(*units):
    """A stem of stride 4, and units of width 6."""
    return nn.Sequential(conv(3, 6, stride=2), conv(6, 6, stride=2), *units)


NETWORKS = {
    "plain": dict(type="ResNet", depth=18, base_channels=8, stem_channels=8),
    "bottleneck": dict(type="ResNet", depth=50, base_channels=8, stem_channels=8),
    "caffe": dict(type="ResNet", depth=50, base_channels=8, stem_channels=8, style="caffe"),
    "average shortcut": dict(type="ResNetV1d", depth=50, base_channels=8, stem_channels=8),
    "grouped": dict(type="ResNeXt", depth=50, base_channels=8, groups=2, base_width=4),
    "split attention": dict(type="ResNeSt", depth=50, base_channels=8, stem_channels=8),
    "depthwise": dict(type="MobileNetV2", widen_factor=0.25),
    "STDC": dict(
        type="STDCNet", stdc_type="STDCNet1", in_channels=3, channels=(8, 8, 16, 32, 64),
        bottleneck_type="cat", norm_cfg=dict(type="BN"), act_cfg=dict(type="ReLU"),
    ),  # fmt: skip
    "large kernels": dict(
        type="MSCAN", embed_dims=[8, 8, 16, 16], depths=[1, 1, 1, 1], norm_cfg=dict(type="BN")
    ),
    "VGG": lambda: mmcv.cnn.VGG(11, with_bn=True),
    "pre-activation": lambda: chain(*(Preactivated(6, s) for s in (1, 2, 1, 2, 1, 2, 1))),
    "group norm": lambda: chain(
        conv(6, 6, stride=2), nn.GroupNorm(3, 6), conv(6, 6, stride=2), nn.GroupNorm(2, 6)
    ),
    "instance norm": lambda: chain(
        conv(6, 6, stride=2), nn.InstanceNorm2d(6, affine=True), conv(6, 6, stride=2),
        nn.InstanceNorm2d(6), conv(6, 6), nn.BatchNorm2d(6, track_running_stats=False),
    ),
    "partial pools": lambda: chain(
        nn.MaxPool2d(3, 2, ceil_mode=True), conv(6, 6), nn.MaxPool2d(2), conv(6, 6),
        nn.AvgPool2d(3, 1, 1, count_include_pad=False), nn.AvgPool2d(2), conv(6, 6),
    ),
    "TensorFlow's padding": lambda: chain(
        *(mmcv.cnn.ConvModule(6, 6, 3, stride=s, conv_cfg=dict(type="Conv2dAdaptivePadding"))
          for s in (1, 2, 1, 2, 1))
    ),
}  # fmt: skip


@functools.lru_cache(maxsize=None)
def network(name):
    torch.manual_seed(0)
    made = NETWORKS[name]
    return lively(MODELS.build(made) if isinstance(made, dict) else made())


@pytest.mark.parametrize("output_stride", [4, 8])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_dense_maps_subsampled_equal_the_originals(name, output_stride):
    proof, plan = proof_of(network(name), output_stride)
    assert plan.changes
    assert proof.same_weights
    assert max(proof.errors.values()) < 1e-9
    if plan.pools:
        # Only because their means are taken over the original's positions.
        assert max(proof.errors_of_pools.values()) > 1e-9


def test_means_of_gates_are_named_and_taken_over_the_originals_positions_all_is_equal():
    gated = lively(MODELS.build(dict(type="MobileNetV3")))
    proof, plan = proof_of(gated, 4)
    assert {pool.name.rpartition(".")[2] for pool in plan.pools} == {"global_avgpool"}
    assert proof.holds
    assert 1e-9 < max(proof.errors_of_pools.values()) < 0.5


def test_the_proof_fails_for_a_network_that_was_changed_otherwise():
    model = network("plain")
    seen = trace(model, SIZE)
    plan = plan_output_stride(seen, 8)
    dense = apply_plan(model, plan)
    dense.layer4[1].conv2.dilation = dense.layer4[1].conv2.padding = (2, 2)
    assert not prove(model, dense, seen, plan, image_size=SIZE).holds
    copied = apply_plan(model, plan)
    copied.conv1.weight = nn.Parameter(copied.conv1.weight.detach().clone())
    assert not prove(model, copied, seen, plan, image_size=SIZE).holds


def test_the_original_stays_as_it_is_and_shares_its_weights():
    model = network("plain")
    before = repr(model)
    dense = to_output_stride(model, 8, image_size=SIZE)
    assert repr(model) == before != repr(dense)
    assert dense.layer4[0].conv1.weight is model.layer4[0].conv1.weight
    assert dense.layer4[0].bn1.running_mean is model.layer4[0].bn1.running_mean
    assert list(dense.state_dict()) == list(model.state_dict())


def test_modes_of_a_network_are_kept():
    model = MODELS.build(NETWORKS["plain"])
    model.train()  # returns nothing
    model.layer1.eval()
    statistics = model.bn1.running_mean.clone()
    dense = to_output_stride(model, 8, image_size=SIZE)
    for each in (model, dense):
        assert each.training
        assert not each.layer1[0].training
    assert torch.equal(model.bn1.running_mean, statistics)


OFFICIAL = [
    dict(type="ResNetV1", depth=18),
    dict(type="ResNetV1Beta", depth=18, multi_grid=(1, 2)),
    dict(type="MobileNetV2", widen_factor=0.5),
    dict(type="MobileNetV3", arch="small"),
    dict(type="MobileNetV3", arch="large", widen_factor=0.5),
    dict(type="MobileNetEdgeTPU", widen_factor=0.75),
    dict(type="Xception", depth=41),
]


def official(config, stride):
    named = dict(config, type=f"mmseg_deeplab_ext.{config['type']}", output_stride=stride)
    return MODELS.build(named).double().eval()


@pytest.mark.parametrize(
    "config", OFFICIAL, ids=lambda each: "-".join(str(value) for value in each.values())
)
def test_an_official_network_made_dense_is_the_one_that_is_built_so(config):
    nominal = lively(official(config, 32))
    image = torch.randn(1, 3, 33, 65, dtype=torch.float64)
    for stride in (16, 8):
        built = official(config, stride)
        built.load_state_dict(nominal.state_dict())
        dense = to_output_stride(nominal, stride, image_size=(65, 97))
        if config.get("arch") == "small":
            # TensorFlow adds a unit's input to its output once it has lost its stride: another
            # function, not only a denser one.
            assert built.layer5[0].adds_input > dense.layer5[0].adds_input
            dense.layer5[0].adds_input = True
        with torch.no_grad():
            maps = zip(built(image), dense(image))
        for expected, ours in maps:
            assert ours.shape == expected.shape
            assert (ours - expected).abs().max() <= 1e-12 * expected.abs().max()


@pytest.mark.parametrize("size", range(8, 14))
@pytest.mark.parametrize("rate", [1, 2, 3])
@pytest.mark.parametrize(
    "pool",
    [
        nn.MaxPool2d(2),
        nn.MaxPool2d(3, 2, 1),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.MaxPool2d(3, 2, 1, ceil_mode=True),
        nn.MaxPool2d(3, 2, 1, dilation=2),
        nn.AvgPool2d(2),
        nn.AvgPool2d(3, 2, 1),
        nn.AvgPool2d(3, 2, 1, ceil_mode=True),
        nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False),
        nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False),
        nn.AvgPool2d((2, 3), 2, (0, 1), divisor_override=5),
    ],
    ids=str,
)
def test_a_dense_pool_subsampled_is_the_pool_on_every_size(pool, rate, size):
    image = torch.randn(1, 2, size, size + 3, dtype=torch.float64)
    kind = DenseMaxPool2d if isinstance(pool, nn.MaxPool2d) else DenseAvgPool2d
    dense = kind(pool, stride=1, dilation=rate)(image)
    expected = pool(image[..., ::rate, ::rate])
    step = 2 * rate
    torch.testing.assert_close(dense[..., ::step, ::step], expected, rtol=1e-12, atol=1e-12)


class Functional(nn.Module):
    """Runs a function of a map as a part of a network."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.conv = conv(6, 6)

    def forward(self, x):
        return self.conv(self.function(x))


def attention(x):
    tokens = x.flatten(2).transpose(1, 2)
    return (tokens @ tokens.transpose(1, 2) @ tokens).transpose(1, 2).reshape(x.shape)


def channels_of_positions(x):
    n, c, height, width = x.shape
    parts = x.reshape(n, c, height // 2, 2, width // 2, 2).permute(0, 3, 5, 1, 2, 4)
    return parts.reshape(n, 4 * c, height // 2, width // 2)[:, :c]


class Branches(nn.Module):
    """Its branches have equally many positions on even sizes, but not the same ones."""

    def __init__(self):
        super().__init__()
        self.conv, self.pool = conv(6, 6, stride=2), nn.AvgPool2d(2)

    def forward(self, x):
        return self.conv(x) + self.pool(x)


REFUSED = {
    "a function": (
        lambda: Functional(lambda x: F.max_pool2d(x, 2)),
        "a .*2x2 window with stride 2",
    ),
    "a slice": (lambda: Functional(lambda x: x[..., ::2, ::2]), "a .*1x1 window with stride 2"),
    "a transposed convolution": (lambda: nn.ConvTranspose2d(6, 6, 2, 2), "a is a transposed 2-d"),
    "a resize": (lambda: Functional(lambda x: F.interpolate(x, scale_factor=2)), "a resizes maps"),
    "padding": (lambda: nn.Sequential(nn.ZeroPad2d(1), nn.Conv2d(6, 6, 3)), "a.0 pads a map"),
    "a cut": (lambda: Functional(lambda x: x[..., 1:, 1:]), "a cuts positions off"),
    "a shift": (lambda: Functional(lambda x: x.roll(1, 2)), "a shifts positions"),
    "channels of positions": (
        lambda: Functional(channels_of_positions),
        "a makes channels of positions",
    ),
    "attention": (lambda: Functional(attention), "a is an attention over positions"),
    "reflected padding": (lambda: conv(6, 6, padding_mode="reflect"), "a pads with .*='reflect'"),
    "an even kernel": (lambda: nn.Conv2d(6, 6, 4, padding="same"), "a pads with .*='same'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_t_be_made_dense_is_an_error_that_names_the_module_and_says_what_to_do(name):
    part, message = REFUSED[name]
    model = chain(conv(6, 6, stride=2), nn.Sequential(conv(6, 6, stride=2)))
    model[3].add_module("a", part())
    with pytest.raises(ConfigError, match=f"^3.{message}.*(output_stride of at least|with zeros)"):
        to_output_stride(model, 8, image_size=(64, 96))


def test_branches_with_other_positions_are_an_error_that_names_the_module():
    model = chain(conv(6, 6, stride=2), Branches(), conv(6, 6))
    with pytest.raises(ConfigError, match=r"^3 fails .*64x96.*branches that pad differently"):
        to_output_stride(model, 8, image_size=(64, 96))


def test_a_module_used_at_two_strides_is_an_error_that_names_it():
    shared = conv(6, 6, stride=2)
    model = chain(nn.Sequential(shared, shared))
    for stride in (4, 8):
        with pytest.raises(ConfigError, match=r"2\.0 runs on maps of several strides.* 16"):
            to_output_stride(model, stride, image_size=SIZE)


def test_a_pool_that_has_two_places_is_replaced_in_both():
    pool = nn.MaxPool2d(3, 1, 1)
    model = chain(conv(6, 6, stride=2), pool, conv(6, 6), pool, conv(6, 6))
    proof, _ = proof_of(lively(model), 4)
    assert proof.holds


def test_a_stride_that_the_network_has_not_is_an_error_with_those_that_it_has():
    for wrong in (12, 64, 0, True, "8", 8.0):
        with pytest.raises(ConfigError, match="have the strides 2, 4, 8, 16, 32,"):
            to_output_stride(network("plain"), wrong, image_size=SIZE)
    with pytest.raises(ConfigError, match="output_stride=None: .* have the strides"):
        to_output_stride(chain(nn.Upsample(scale_factor=2)), None, image_size=SIZE)


def test_an_image_that_the_network_refuses_is_an_error_that_names_the_module():
    model = chain(nn.Sequential(nn.Conv2d(6, 6, 40)))
    with pytest.raises(ConfigError, match=r"^2\.0 fails on an image of 33x65: .*image_size"):
        to_output_stride(model, 2, image_size=(33, 65))


def test_the_end_points_are_the_last_maps_before_each_stride():
    found = find_end_points(trace(network("depthwise"), SIZE))
    assert {stride: point.name for stride, point in found.items()} == {
        2: "layer1", 4: "layer2", 8: "layer3", 16: "layer5", 32: "layer7"
    }  # fmt: skip
    found = find_end_points(trace(network("plain"), SIZE))
    assert [point.channels for point in found.values()] == [8, 8, 16, 32, 64]
    assert [point.name for point in found.values()][1:] == ["layer1", "layer2", "layer3", "layer4"]
