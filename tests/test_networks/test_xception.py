"""Xception; what all backbones have in common is in test_every_backbone.py."""

import pytest
import torch
from torch import nn

from mmseg_deeplab_ext.backbones import Xception
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.layers import UnitGeometry
from mmseg_deeplab_ext.layers.xception_module import XceptionModule

BN = dict(type="BN")


def layers(depth, **arguments):
    with torch.device("meta"):
        network = Xception(depth, **arguments)
    return [getattr(network, name) for name in network.layer_names]


def depthwise(unit):
    return [conv.depthwise_conv.conv for conv in unit.convs]


@pytest.mark.parametrize("depth", [0, 18, 42, True, "65", 65.0, None])
def test_another_depth_is_refused_with_the_allowed_ones(depth):
    with pytest.raises(ConfigError, match="depth=.* 41, 65, 71"):
        Xception(depth)


@pytest.mark.parametrize(
    ("depth", "units", "widths"),
    [
        (41, [1, 1, 1, 8, 1, 1], [128, 256, 728, 728, 1024, 2048]),
        (65, [1, 1, 1, 16, 1, 1], [128, 256, 728, 728, 1024, 2048]),
        (71, [1, 1, 1, 1, 1, 16, 1, 1], [128, 256, 256, 728, 728, 728, 1024, 2048]),
    ],
)
def test_units_and_widths_are_the_official_ones(depth, units, widths):
    built = layers(depth)
    assert [len(layer) for layer in built] == units
    assert [layer[-1].convs[-1].pointwise_conv.out_channels for layer in built] == widths


@pytest.mark.parametrize(
    ("depth", "output_stride", "strided", "dilations"),
    [
        (65, 32, [0, 1, 2, 4], [1, 1, 1, 1, 1, 1]),
        (65, 16, [0, 1, 2], [1, 1, 1, 1, 1, 2]),
        # A unit whose stride is left out still runs at the old rate; those behind it are dilated.
        (65, 8, [0, 1], [1, 1, 1, 2, 2, 4]),
        (71, 8, [0, 2], [1, 1, 1, 1, 1, 2, 2, 4]),
    ],
)
def test_only_the_third_convolution_is_strided_and_strides_left_out_dilate_those_behind(
    depth, output_stride, strided, dilations
):
    for number, layer in enumerate(layers(depth, output_stride=output_stride)):
        stride, dilation = 2 if number in strided else 1, dilations[number]
        for unit in layer:
            convs = depthwise(unit)
            assert [conv.stride for conv in convs] == [(1, 1), (1, 1), (stride, stride)]
            assert {(conv.dilation, conv.padding) for conv in convs} == {((dilation,) * 2,) * 2}


def test_multi_grid_multiplies_the_dilations_of_the_last_blocks_convolutions_only():
    for output_stride, rate in ((32, 1), (16, 2), (8, 4)):
        *before, last = layers(41, output_stride=output_stride, multi_grid=(1, 2, 4))
        dilations = [conv.dilation[0] for conv in depthwise(last[0])]
        assert dilations == [rate, 2 * rate, 4 * rate]
        for ours, plain in zip(before, layers(41, output_stride=output_stride)):
            for unit, other in zip(ours, plain):
                assert [c.dilation for c in depthwise(unit)] == [
                    c.dilation for c in depthwise(other)
                ]


def test_the_skip_reads_the_input_before_the_activation_and_keeps_it():
    torch.manual_seed(0)
    x = torch.randn(1, 4, 7, 8)
    unit = XceptionModule(4, (4, 4, 4), skip="sum", geometry=UnitGeometry(1), norm_cfg=BN).eval()
    for parameter in unit.convs[-1].pointwise_conv.bn.parameters():
        nn.init.zeros_(parameter)
    kept = x.clone()
    out, _ = unit(x)
    assert torch.equal(out, kept)
    assert torch.equal(x, kept)


def test_taps_can_be_negative_and_the_final_map_can_not():
    torch.manual_seed(0)
    network = Xception(41).eval()
    with torch.no_grad():
        *taps, final = network(torch.randn(1, 3, 33, 49))
    assert all((tap < 0).any() for tap in taps)
    assert (final >= 0).all()


def test_every_convolution_starts_as_the_official_truncated_normal():
    torch.manual_seed(0)
    network = Xception(41)
    network.init_weights()
    # Cut at two standard deviations, a normal distribution keeps 0.88 of its own.
    for name in ("stem.1.conv", "layer4.0.convs.0.depthwise_conv.conv", "layer3.0.shortcut.conv"):
        weight = network.get_submodule(name).weight
        assert weight.std().item() == pytest.approx(0.88 * 0.09, rel=0.06), name
        assert weight.abs().max() <= 0.18
