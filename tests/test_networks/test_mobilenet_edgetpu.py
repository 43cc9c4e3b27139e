"""MobileNetEdgeTPU; what all backbones have in common is in test_every_backbone.py."""

import pytest
import torch

from mmseg_deeplab_ext.backbones import MobileNetEdgeTPU
from mmseg_deeplab_ext.decode_heads import DeepLabV3PlusHead
from mmseg_deeplab_ext.errors import CheckpointMismatchError, ConfigError
from mmseg_deeplab_ext.specs import MobileNetEdgeTPUSpec
from mmseg_deeplab_ext.specs.network import NetworkSpec
from tests.support.tf_files import head

FUSED, DEPTHWISE = slice(0, 9), slice(9, 22)


def units(**arguments):
    """The inverted residuals, by the numbers in TensorFlow's names."""
    with torch.device("meta"):
        network = MobileNetEdgeTPU(**arguments)
    return [unit for name in network.layer_names[:-1] for unit in getattr(network, name)]


@pytest.mark.parametrize(
    ("widen_factor", "outputs", "expanded"),
    [
        (
            1.0,
            [16, *[32] * 4, *[48] * 4, *[96] * 8, *[160] * 4, 192],
            [32, *[128] * 4, 256, *[192] * 3, *[384] * 4, 768, *[384] * 3, 768, *[640] * 3, 1280],
        ),
        (
            0.75,
            [16, *[24] * 4, *[40] * 4, *[72] * 8, *[120] * 4, 144],
            [24, 128, *[96] * 3, 192, *[160] * 3]
            + [320, *[288] * 3, 576, *[288] * 3, 576, *[480] * 3, 960],
        ),
    ],
)
def test_widths_are_the_official_ones(widen_factor, outputs, expanded):
    built = units(widen_factor=widen_factor)
    assert [unit.project.conv.out_channels for unit in built] == outputs
    assert [unit.project.conv.in_channels for unit in built] == expanded


def test_the_first_nine_units_have_no_depthwise_convolution_and_the_first_is_a_projection_alone():
    built = units()
    assert [unit.depthwise is None for unit in built] == [True] * 9 + [False] * 13
    assert [unit.expand is None for unit in built] == [True] + [False] * 21
    kernels = [unit.expand.conv.kernel_size for unit in built[1:]]
    assert kernels == [(3, 3)] * 8 + [(1, 1)] * 13
    depthwise = [unit.depthwise.conv.kernel_size[0] for unit in built[DEPTHWISE]]
    assert depthwise == [3] * 8 + [5] * 4 + [3]


@pytest.mark.parametrize(
    ("output_stride", "strided", "dilations"),
    [
        (32, [9, 17], [1] * 13),
        (16, [9], [1] * 9 + [2] * 4),
        (8, [], [1] + [2] * 8 + [4] * 4),
    ],
)
def test_the_output_stride_changes_the_depthwise_convolutions_only(
    output_stride, strided, dilations
):
    built = units(output_stride=output_stride)
    fused = [unit.expand.conv for unit in built[FUSED][1:]]
    assert [conv.stride[0] for conv in fused] == [2, 1, 1, 1, 2, 1, 1, 1]
    assert {conv.dilation for conv in fused} == {(1, 1)}
    depthwise = [unit.depthwise.conv for unit in built[DEPTHWISE]]
    assert [i for i, conv in enumerate(depthwise, start=9) if conv.stride == (2, 2)] == strided
    assert [conv.dilation[0] for conv in depthwise] == dilations


def test_one_unit_does_not_add_its_input_although_it_could():
    added = [number for number, unit in enumerate(units()) if unit.adds_input]
    assert added == [2, 3, 4, 6, 7, 8, 10, 11, 12, 14, 15, 16, 18, 19, 20]
    unit = units()[13]
    assert unit.expand.conv.in_channels == unit.project.conv.out_channels


def test_there_is_the_final_map_only_and_the_head_finds_it():
    with pytest.raises(ConfigError, match=r"out_indices=\(0, 3\).*from 3 to 3 \(3: final"):
        MobileNetEdgeTPU(out_indices=(0, 3))
    features = MobileNetEdgeTPU(0.5).eval()(torch.zeros(1, 3, 33, 49))
    assert [tuple(feature.shape) for feature in features] == [(1, 640, 3, 4)]
    classify = DeepLabV3PlusHead(640, 8, num_classes=3, dilations=(1,)).eval()
    assert classify(features).shape == (1, 3, 3, 4)


def test_a_decoder_on_it_is_refused_as_in_tensorflow():
    network = NetworkSpec(MobileNetEdgeTPUSpec(0.75), head(960, taps=[96]))
    with pytest.raises(CheckpointMismatchError, match=r"\[96\].*MobileNet-EdgeTPU.* none to tap"):
        network.configs()
