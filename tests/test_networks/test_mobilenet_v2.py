"""MobileNetV2; what all backbones have in common is in test_every_backbone.py."""

import math

import mmseg.models
import pytest
import torch
from mmseg.registry import MODELS
from torch import nn

from mmseg_deeplab_ext.backbones import MobileNetV2
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.layers import UnitGeometry, conv_same_module

LAYERS = dict(norm_cfg=dict(type="BN"), act_cfg=dict(type="ReLU6"))
IMAGE = torch.randn(1, 3, 65, 97, generator=torch.Generator().manual_seed(0))


def units(network):
    return [unit for name in network.layer_names for unit in getattr(network, name)]


def test_the_prefix_leads_to_this_network_and_the_bare_name_to_mmsegs_own():
    ours = MODELS.build(dict(type="mmseg_deeplab_ext.MobileNetV2", widen_factor=0.5))
    assert type(ours) is MobileNetV2
    assert MODELS.get("MobileNetV2") is mmseg.models.MobileNetV2
    assert not {*ours.state_dict()} & {*mmseg.models.MobileNetV2().state_dict()}


@pytest.mark.parametrize("widen_factor", [0, -1.0, math.nan, math.inf, True, "1.0", None])
def test_a_widen_factor_that_is_no_positive_number_is_refused(widen_factor):
    with pytest.raises(ConfigError, match=r"widen_factor=.* must be a number greater than 0"):
        MobileNetV2(widen_factor)


@pytest.mark.parametrize(
    ("widen_factor", "stem", "blocks", "taps"),
    [
        # Rounded to whole channels; the expanded widths to multiples of 8.
        (0.35, 11, [6, 8, 11, 22, 34, 56, 112], [48, 64, 208]),
        (0.5, 16, [8, 12, 16, 32, 48, 80, 160], [72, 96, 288]),
        (0.75, 24, [12, 18, 24, 48, 72, 120, 240], [112, 144, 432]),
        (1.0, 32, [16, 24, 32, 64, 96, 160, 320], [144, 192, 576]),
        (1, 32, [16, 24, 32, 64, 96, 160, 320], [144, 192, 576]),
        (1.4, 45, [22, 34, 45, 90, 134, 224, 448], [208, 272, 808]),
        (0.01, 1, [1, 1, 1, 1, 1, 2, 3], [8, 8, 8]),
    ],
)
def test_widths_are_those_of_deeplabs_depth_multiplier(widen_factor, stem, blocks, taps):
    network = MobileNetV2(widen_factor).eval()
    assert network.stem[0].conv.out_channels == stem
    layers = [getattr(network, name) for name in network.layer_names]
    assert [len(layer) for layer in layers] == [1, 2, 3, 4, 3, 3, 1]
    for layer, width in zip(layers, blocks):
        assert {unit.project.conv.out_channels for unit in layer} == {width}
    assert [feature.shape[1] for feature in network(IMAGE)] == [*taps, blocks[-1]]


@pytest.mark.parametrize("output_stride", [8, 16, 32])
@pytest.mark.parametrize("size", [(65, 97), (64, 96), (66, 95)])
def test_taps_come_at_strides_4_8_16_bounded_by_the_output_stride(output_stride, size):
    network = MobileNetV2(0.35, output_stride=output_stride).eval()
    for feature, stride in zip(network(torch.zeros(1, 3, *size)), (4, 8, 16, 32)):
        stride = min(stride, output_stride)
        assert feature.shape[-2:] == (-(-size[0] // stride), -(-size[1] // stride))


@pytest.mark.parametrize(
    ("output_stride", "strided", "dilations"),
    [
        (32, [1, 3, 6, 13], [1] * 17),
        # A unit whose stride is left out still runs at the old rate; those behind it are dilated.
        (16, [1, 3, 6], [1] * 14 + [2] * 3),
        (8, [1, 3], [1] * 7 + [2] * 7 + [4] * 3),
    ],
)
def test_strides_left_out_dilate_the_depthwise_convolutions_behind(
    output_stride, strided, dilations
):
    depthwise = [u.depthwise.conv for u in units(MobileNetV2(0.35, output_stride=output_stride))]
    assert [i for i, conv in enumerate(depthwise) if conv.stride == (2, 2)] == strided
    assert [conv.dilation[0] for conv in depthwise] == dilations


def test_the_input_is_added_where_shape_and_stride_allow_it():
    for output_stride in (8, 32):
        added = [u.adds_input for u in units(MobileNetV2(0.5, output_stride=output_stride))]
        assert [i for i, adds in enumerate(added) if adds] == [2, 4, 5, 7, 8, 9, 11, 12, 14, 15]
    unit = units(MobileNetV2(0.5))[2].eval()
    x = torch.randn(1, 12, 9, 9)
    assert torch.equal(unit(x)[0], x + unit.project(unit.depthwise(unit.expand(x))))


def test_only_the_first_unit_does_not_expand():
    assert [unit.expand is None for unit in units(MobileNetV2(0.5))] == [True] + [False] * 16


def test_taps_are_bounded_activations_and_the_final_map_is_linear():
    torch.manual_seed(0)
    network = MobileNetV2(0.5).eval()
    network.init_weights()
    *taps, final = network(40 * IMAGE)
    for tap in taps:
        assert tap.min() == 0
        assert tap.max() <= 6
    assert (final < 0).any()


@pytest.mark.parametrize("size", [(6, 9), (7, 8), (9, 9), (8, 8), (1, 2)])
@pytest.mark.parametrize("geometry", [UnitGeometry(2), UnitGeometry(1), UnitGeometry(1, (4,))])
@pytest.mark.parametrize("kernel", [3, 5])
def test_convolutions_pad_as_tensorflow_does_on_odd_and_even_sizes(size, geometry, kernel):
    torch.manual_seed(0)
    module = conv_same_module(2, 5, kernel, geometry=geometry, **LAYERS)
    x = torch.randn(1, 2, *size)
    stride, extent = geometry.stride, (kernel - 1) * geometry.dilation + 1
    # TensorFlow's rule: as much padding as the last window needs, the odd pixel at the end.
    pads = [max((-(-n // stride) - 1) * stride + extent - n, 0) for n in size]
    (top, bottom), (left, right) = ((pad // 2, pad - pad // 2) for pad in pads)
    padded = nn.functional.pad(x, (left, right, top, bottom))
    expected = nn.functional.conv2d(
        padded, module.conv.weight, stride=stride, dilation=geometry.dilation
    )
    torch.testing.assert_close(module.conv(x), expected)


def test_pytorchs_symmetric_padding_would_differ_on_even_sizes_only():
    module = conv_same_module(1, 1, 3, geometry=UnitGeometry(2), **LAYERS)
    for size, same in ((9, True), (8, False)):
        x = torch.randn(1, 1, size, size, generator=torch.Generator().manual_seed(0))
        symmetric = nn.functional.conv2d(x, module.conv.weight, stride=2, padding=1)
        assert torch.allclose(module.conv(x), symmetric, atol=1e-6) == same


def test_batch_norms_have_tensorflows_constants_unless_the_config_states_others():
    def constants(network):
        norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
        return {(m.momentum, m.eps) for m in norms}

    assert constants(MobileNetV2(0.35)) == {(0.003, 1e-3)}
    stated = MobileNetV2(0.35, norm_cfg=dict(type="BN", momentum=0.1, eps=1e-5))
    assert constants(stated) == {(0.1, 1e-5)}


def test_convolutions_start_as_slims_truncated_normal():
    torch.manual_seed(0)
    network = MobileNetV2()
    network.init_weights()
    # Cut at two standard deviations, a normal distribution keeps 0.88 of its own.
    for name in ("stem.0.conv", "layer6.1.depthwise.conv", "layer6.1.expand.conv"):
        weight = network.get_submodule(name).weight
        assert weight.std().item() == pytest.approx(0.88 * 0.09, rel=0.06), name
        assert weight.abs().max() <= 0.18
