"""Strides become dilations without changing what is computed."""

import pytest
import torch

from mmseg_deeplab_ext.backbones import MobileNetV2
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.layers import UnitGeometry, walk_output_stride
from mmseg_deeplab_ext.specs import ResNetV1Spec


def geometry(depth, output_stride, multi_grid=None):
    return walk_output_stride(
        [[unit.stride for unit in block] for block in ResNetV1Spec(depth).blocks],
        entry_stride=4,
        output_stride=output_stride,
        grids={3: [(each,) for each in multi_grid]} if multi_grid else None,
    )


def test_the_stride_sits_in_the_last_unit_of_a_block():
    strides = [[unit.stride for unit in block] for block in geometry(50, 32)]
    assert strides == [[1, 1, 2], [1, 1, 1, 2], [1, 1, 1, 1, 1, 2], [1, 1, 1]]


@pytest.mark.parametrize(
    ("output_stride", "dilations"),
    [
        (32, [1, 1, 1, 1]),
        (16, [1, 1, 1, 2]),
        (8, [1, 1, 2, 4]),
        (4, [1, 2, 4, 8]),
    ],
)
def test_strides_left_out_multiply_the_dilation_of_later_blocks(output_stride, dilations):
    for block, dilation in zip(geometry(50, output_stride), dilations):
        assert {unit.dilation for unit in block} == {dilation}


def test_multi_grid_multiplies_the_dilation_of_the_last_block():
    assert geometry(50, 16, (1, 2, 4))[-1] == [UnitGeometry(1, (d,)) for d in (2, 4, 8)]
    assert geometry(50, 8, (1, 2, 4))[-1] == [UnitGeometry(1, (d,)) for d in (4, 8, 16)]
    assert geometry(50, 32, (1, 2, 4))[-1] == [UnitGeometry(1, (d,)) for d in (1, 2, 4)]


def test_an_output_stride_the_strides_never_reach_is_refused():
    with pytest.raises(ConfigError, match="output_stride=24 cannot be reached"):
        geometry(18, 24)


def test_every_convolution_of_a_unit_can_have_a_multiplier_of_its_own():
    grids = {1: [(1,), (1, 2, 4)]}
    walked = walk_output_stride([[2], [1, 2]], entry_stride=8, output_stride=8, grids=grids)
    assert walked == [
        [UnitGeometry(1, (1,))],
        [UnitGeometry(1, (2,)), UnitGeometry(1, (2, 4, 8))],
    ]


@pytest.mark.parametrize("size", [(64, 96), (65, 96), (81, 97)])
def test_the_dense_mobilenet_computes_something_else_where_a_map_is_even(size):
    torch.manual_seed(0)
    nominal = MobileNetV2(0.5, output_stride=32, out_indices=(3,)).double().eval()
    for module in nominal.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var.fill_(2.0)
    dense = MobileNetV2(0.5, output_stride=16, out_indices=(3,)).double().eval()
    dense.load_state_dict(nominal.state_dict())
    image = torch.randn(1, 3, *size, dtype=torch.float64)
    with torch.no_grad():
        expected, subsampled = nominal(image)[0], dense(image)[0][..., ::2, ::2]
    assert (subsampled - expected).abs().max() / expected.abs().max() > 1e-3
