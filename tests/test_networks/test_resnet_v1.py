"""The ResNet backbones; what all backbones have in common is in test_every_backbone.py."""

import pytest
import torch
from torch import nn

from mmseg_deeplab_ext.backbones import ResNetV1, ResNetV1Beta
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.layers import max_pool_3x3_stride_2_same
from mmseg_deeplab_ext.specs import ResNetV1BetaSpec

IMAGE = torch.randn(2, 3, 65, 97, generator=torch.Generator().manual_seed(0))


def batch_norms(module):
    return [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(depth=34), r"depth=34 .*18, 50, 101"),
        (dict(depth=50, multi_grid=(1, 2)), r"multi_grid=\(1, 2\) has 2 entries.*3 units"),
        (dict(depth=18, multi_grid=(1, 0)), r"multi_grid=\(1, 0\) must be a list of whole numbers"),
        (dict(depth=18, multi_grid=2), r"multi_grid=2 must be a list"),
        (dict(depth=18, multi_grid=()), r"multi_grid=\(\) must be a list"),
        (dict(depth=18.0), r"depth=18.0 is not supported"),
    ],
)
def test_an_impossible_argument_is_refused_with_the_allowed_values(arguments, message):
    with pytest.raises(ConfigError, match=message):
        ResNetV1Beta(**arguments)


@pytest.mark.parametrize(("depth", "widths"), [(18, [64, 128, 256]), (50, [256, 512, 1024])])
def test_the_taps_are_those_of_the_official_code(depth, widths):
    spec = ResNetV1BetaSpec(depth)
    assert [(tap.stride, tap.channels) for tap in spec.taps] == list(zip((4, 8, 16), widths))
    assert [tap.end_point for tap in spec.taps] == {
        18: [f"resnet_v1_18/block{b}/unit_1/lite_bottleneck_v1/conv2" for b in (1, 2, 3)],
        50: [
            f"resnet_v1_50/block{b}/unit_{u}/bottleneck_v1/conv3"
            for b, u in ((1, 2), (2, 3), (3, 5))
        ],
    }[depth]
    assert spec.output_strides == (4, 8, 16, 32)


def test_taps_are_taken_before_the_relu_and_the_final_map_after_it():
    features = ResNetV1Beta(18).eval()(IMAGE)
    assert all((feature < 0).any() for feature in features[:3])
    assert (features[3] >= 0).all()


@pytest.mark.parametrize("size", [(6, 9), (7, 8), (9, 9), (8, 8)])
def test_the_pool_pads_as_tensorflow_does_on_odd_and_even_sizes(size):
    x = torch.randn(1, 2, *size)
    # TensorFlow's rule: as much padding as the last window needs, the odd pixel at the end.
    pads = [max((-(-n // 2) - 1) * 2 + 3 - n, 0) for n in size]
    (top, bottom), (left, right) = ((pad // 2, pad - pad // 2) for pad in pads)
    padded = nn.functional.pad(x, (left, right, top, bottom), value=float("-inf"))
    assert torch.equal(max_pool_3x3_stride_2_same(x), nn.functional.max_pool2d(padded, 3, 2))


def test_pytorchs_symmetric_pool_would_differ_on_even_sizes():
    x = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert not torch.equal(max_pool_3x3_stride_2_same(x), nn.functional.max_pool2d(x, 3, 2, 1))


def test_batch_norms_have_tensorflows_constants_unless_the_config_states_others():
    assert {(m.momentum, m.eps) for m in batch_norms(ResNetV1(18))} == {(0.05, 1.001e-5)}
    stated = ResNetV1(18, norm_cfg=dict(type="BN", momentum=0.1, eps=1e-3))
    assert {(m.momentum, m.eps) for m in batch_norms(stated)} == {(0.1, 1e-3)}


def test_convolutions_start_with_he_initialisation():
    network = ResNetV1Beta(50)
    network.init_weights()
    for name in ("stem.1.conv", "layer2.1.conv2", "layer4.0.downsample.0"):
        weight = network.get_submodule(name).weight
        fan_in = weight[0].numel()
        assert weight.std().item() == pytest.approx((2 / fan_in) ** 0.5, rel=0.05)
