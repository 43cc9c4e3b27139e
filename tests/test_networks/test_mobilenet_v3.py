"""MobileNetV3; what all backbones have in common is in test_every_backbone.py."""

import math

import mmseg.models
import numpy as np
import pytest
import torch
from mmseg.registry import MODELS
from torch import nn

from mmseg_deeplab_ext.backbones import MobileNetV3
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.layers import UnitGeometry
from mmseg_deeplab_ext.layers.hard_swish import HardSwish
from mmseg_deeplab_ext.layers.inverted_residual import InvertedResidual
from mmseg_deeplab_ext.layers.squeeze_excite import SqueezeExcite
from tests.support.golden_networks import tensor_of

IMAGE = torch.randn(1, 3, 65, 97, generator=torch.Generator().manual_seed(0))
ARCHS = ("large", "small")


def units(network):
    """The inverted residuals, by the numbers in TensorFlow's names."""
    return [unit for name in network.layer_names[:-1] for unit in getattr(network, name)]


def layers(arch, **arguments):
    with torch.device("meta"):
        return units(MobileNetV3(arch, **arguments))


def test_the_prefix_leads_to_this_network_and_the_bare_name_to_mmsegs_own():
    ours = MODELS.build(dict(type="mmseg_deeplab_ext.MobileNetV3", arch="small"))
    assert type(ours) is MobileNetV3
    assert MODELS.get("MobileNetV3") is mmseg.models.MobileNetV3
    assert not {*ours.state_dict()} & {*mmseg.models.MobileNetV3("small").state_dict()}


@pytest.mark.parametrize("arch", ["medium", "", None, 1, ["large"]])
def test_another_arch_is_refused_with_the_allowed_ones(arch):
    with pytest.raises(ConfigError, match="arch=.* use one of large, small"):
        MobileNetV3(arch)


@pytest.mark.parametrize("widen_factor", [0, -1.0, math.nan, True, "1.0", None])
def test_a_widen_factor_that_is_no_positive_number_is_refused(widen_factor):
    with pytest.raises(ConfigError, match=r"widen_factor=.* must be a number greater than 0"):
        MobileNetV3("small", widen_factor)


# Source of the widths: the official graphs, built at each depth multiplier.
@pytest.mark.parametrize(
    ("arch", "widen_factor", "widths"),
    [
        ("large", 1.0, [16, 16, 24, 24, *[40] * 3, *[80] * 4, 112, 112, *[80] * 3, 480]),
        ("large", 0.75, [16, 16, 24, 24, *[32] * 3, *[64] * 4, 88, 88, *[64] * 3, 360]),
        ("large", 0.5, [8, 8, 16, 16, *[24] * 3, *[40] * 4, 56, 56, *[40] * 3, 240]),
        ("small", 1.0, [16, 16, 24, 24, *[40] * 3, *[48] * 5, 288]),
        ("small", 0.75, [16, 16, 24, 24, *[32] * 3, *[40] * 5, 216]),
        ("small", 0.5, [8, 8, 16, 16, *[24] * 3, *[24] * 5, 144]),
    ],
)
def test_widths_are_multiples_of_8_at_every_depth_multiplier(arch, widen_factor, widths):
    with torch.device("meta"):
        network = MobileNetV3(arch, widen_factor)
    last = getattr(network, network.layer_names[-1])[0]
    projections = [unit.project.conv.out_channels for unit in units(network)]
    found = [network.stem[0].conv.out_channels, *projections, last.conv.out_channels]
    assert found == widths


@pytest.mark.parametrize(
    ("arch", "expanded", "squeezed"),
    [
        (
            "large",
            [16, 64, 72, 72, 120, 120, 240, 200, 184, 184, 480, 672, 336, 480, 480],
            {3: 24, 4: 32, 5: 32, 10: 120, 11: 168, 12: 88, 13: 120, 14: 120},
        ),
        (
            "small",
            [16, 72, 88, 96, 240, 240, 120, 144, 144, 288, 288],
            {0: 8, 3: 24, 4: 64, 5: 64, 6: 32, 7: 40, 8: 40, 9: 72, 10: 72},
        ),
    ],
)
def test_units_expand_and_squeeze_as_in_the_official_tables(arch, expanded, squeezed):
    built = layers(arch)
    assert [unit.project.conv.in_channels for unit in built] == expanded
    assert [unit.expand is None for unit in built] == [True] + [False] * (len(built) - 1)
    assert {
        number: unit.squeeze_excite.conv1.out_channels
        for number, unit in enumerate(built)
        if unit.squeeze_excite is not None
    } == squeezed


@pytest.mark.parametrize(
    ("arch", "output_stride", "strided", "dilations"),
    [
        ("large", 32, [1, 3, 6, 12], [1] * 15),
        # A unit whose stride is left out still runs at the old rate; those behind it are dilated.
        ("large", 16, [1, 3, 6], [1] * 13 + [2] * 2),
        ("large", 8, [1, 3], [1] * 7 + [2] * 6 + [4] * 2),
        ("small", 32, [0, 1, 3, 8], [1] * 11),
        ("small", 16, [0, 1, 3], [1] * 9 + [2] * 2),
        ("small", 8, [0, 1], [1] * 4 + [2] * 5 + [4] * 2),
    ],
)
def test_strides_left_out_dilate_the_depthwise_convolutions_behind(
    arch, output_stride, strided, dilations
):
    depthwise = [unit.depthwise.conv for unit in layers(arch, output_stride=output_stride)]
    assert [i for i, conv in enumerate(depthwise) if conv.stride == (2, 2)] == strided
    assert [conv.dilation[0] for conv in depthwise] == dilations


def test_the_small_units_whose_stride_is_left_out_add_their_input_where_channels_are_alike():
    added = {
        output_stride: [
            number
            for number, unit in enumerate(layers("small", output_stride=output_stride))
            if unit.adds_input
        ]
        for output_stride in (32, 16)
    }
    assert added == {32: [2, 4, 5, 7, 9, 10], 16: [2, 4, 5, 7, 8, 9, 10]}


def test_a_tap_is_what_enters_the_squeeze_excite():
    torch.manual_seed(0)
    unit = InvertedResidual(
        8,
        8,
        expanded_channels=16,
        squeezed_channels=8,
        geometry=UnitGeometry(1),
        norm_cfg=dict(type="BN"),
        act_cfg=dict(type=HardSwish),
    ).eval()
    x = torch.randn(1, 8, 9, 9)
    out, tap = unit(x)
    assert torch.equal(tap, unit.depthwise(unit.expand(x)))
    assert torch.equal(out, x + unit.project(unit.squeeze_excite(tap)))
    assert not torch.equal(unit.squeeze_excite(tap), tap)


def test_hard_swish_has_tensorflows_factor_rounded_to_float32():
    x = torch.linspace(-5, 5, 101, dtype=torch.float64)
    expected = x * (x + 3).clamp(0, 6) * float(np.float32(1 / 6))
    torch.testing.assert_close(HardSwish()(x), expected, rtol=1e-15, atol=0)
    pytorchs = nn.functional.hardswish(x)
    assert 2e-8 < (pytorchs - expected).abs().max() / expected.max() < 4e-8
    torch.testing.assert_close(HardSwish()(x.float()), expected.float(), rtol=2e-7, atol=1e-7)


def test_the_gate_of_a_squeeze_excite_ends_a_little_above_one():
    module = SqueezeExcite(8, 8)
    nn.init.zeros_(module.conv2.conv.weight)
    x = torch.randn(1, 8, 5, 5)
    for bias, gate in ((-4.0, 0), (0.0, 3 * 0.16667), (1.0, 4 * 0.16667), (9.0, 6 * 0.16667)):
        nn.init.constant_(module.conv2.conv.bias, bias)
        torch.testing.assert_close(module(x), gate * x, rtol=1e-6, atol=0)


def pair(arch, output_stride):
    """The golden files' weights at output stride 32 and at another."""
    networks = []
    for stride in (32, output_stride):
        network = MobileNetV3(arch, output_stride=stride, out_indices=(3,))
        state = {rule.torch_name: tensor_of(rule) for rule in network.spec.rules("")}
        network.load_state_dict(state, strict=False)
        networks.append(network.double().eval())
    return networks


def difference(nominal, dense, factor):
    with torch.no_grad():
        expected, found = nominal(IMAGE.double())[0], dense(IMAGE.double())[0]
    error = (found[..., ::factor, ::factor] - expected).abs().max() / expected.abs().max()
    return error.item()


@pytest.mark.parametrize("output_stride", [16, 8])
def test_the_dense_output_is_the_nominal_one_but_for_the_means_of_the_squeeze_excites(
    output_stride, monkeypatch
):
    nominal, dense = pair("large", output_stride)
    assert difference(nominal, dense, 32 // output_stride) > 1e-4
    monkeypatch.setattr(SqueezeExcite, "forward", lambda self, x: x)
    assert difference(nominal, dense, 32 // output_stride) < 1e-12


def test_the_dense_small_network_also_adds_an_input_that_the_nominal_one_does_not(monkeypatch):
    nominal, dense = pair("small", 16)
    monkeypatch.setattr(SqueezeExcite, "forward", lambda self, x: x)
    assert difference(nominal, dense, 2) > 1e-3
    units(dense)[8].adds_input = False
    assert difference(nominal, dense, 2) < 1e-12


@pytest.mark.parametrize("arch", ARCHS)
def test_kernels_start_as_slims_truncated_normal_and_the_biases_at_zero(arch):
    torch.manual_seed(0)
    network = MobileNetV3(arch)
    network.init_weights()
    unit = units(network)[10]
    # Cut at two standard deviations, a normal distribution keeps 0.88 of its own.
    for layer in (unit.expand.conv, unit.depthwise.conv, unit.squeeze_excite.conv2.conv):
        assert layer.weight.std().item() == pytest.approx(0.88 * 0.09, rel=0.06)
        assert layer.weight.abs().max() <= 0.18
    biases = [p for n, p in network.named_parameters() if "squeeze_excite" in n and "bias" in n]
    assert len(biases) == 2 * sum(unit.squeeze_excite is not None for unit in units(network))
    assert not any(bias.any() for bias in biases)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_training_step_in_autocast_gives_finite_gradients(dtype):
    torch.manual_seed(0)
    network = MobileNetV3("small").train()
    with torch.autocast("cpu", dtype=dtype):
        features = network(IMAGE.expand(2, -1, -1, -1))
    assert {feature.dtype for feature in features} <= {dtype, torch.float32}
    sum(feature.float().square().mean() for feature in features).backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters())
