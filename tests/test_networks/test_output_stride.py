"""Strides become dilations without changing what is computed."""

import pytest
import torch

from mmseg_deeplab_ext.arch import RESNET_V1
from mmseg_deeplab_ext.backbones import ResNetV1, ResNetV1Beta
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.layers import UnitGeometry, walk_output_stride


def geometry(depth, output_stride, multi_grid=None):
    blocks = RESNET_V1[depth].blocks
    return walk_output_stride(
        [block.unit_strides for block in blocks],
        entry_stride=4,
        output_stride=output_stride,
        multi_grid=multi_grid or (1,) * blocks[-1].units,
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
    assert geometry(50, 16, (1, 2, 4))[-1] == [UnitGeometry(1, d) for d in (2, 4, 8)]
    assert geometry(50, 8, (1, 2, 4))[-1] == [UnitGeometry(1, d) for d in (4, 8, 16)]
    assert geometry(50, 32, (1, 2, 4))[-1] == [UnitGeometry(1, d) for d in (1, 2, 4)]


def test_an_output_stride_the_strides_never_reach_is_refused():
    with pytest.raises(ConfigError, match="output_stride=24 cannot be reached"):
        geometry(18, 24)


@pytest.mark.parametrize("network", [ResNetV1, ResNetV1Beta])
@pytest.mark.parametrize("depth", [18, 50, 101])
def test_the_dense_output_subsampled_equals_the_nominal_output(network, depth):
    torch.manual_seed(0)
    nominal = network(depth, output_stride=32, out_indices=(3,)).double().eval()
    # The moving statistics of a fresh network would let the activations explode.
    for module in nominal.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var.fill_(2.0)
    image = torch.randn(1, 3, 66, 97, dtype=torch.float64)
    with torch.no_grad():
        expected = nominal(image)[0]
        for output_stride in (4, 8, 16):
            dense = network(depth, output_stride=output_stride, out_indices=(3,)).double().eval()
            dense.load_state_dict(nominal.state_dict())
            factor = 32 // output_stride
            subsampled = dense(image)[0][..., ::factor, ::factor]
            assert subsampled.shape == expected.shape
            error = (subsampled - expected).abs().max() / expected.abs().max()
            assert error < 1e-12, (output_stride, error)
