"""Strides become dilations without changing what is computed."""

import pytest
import torch

from mmseg_deeplab_ext.backbones import MobileNetV2, ResNetV1, ResNetV1Beta
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


NETWORKS = {
    **{f"ResNetV1-{depth}": (ResNetV1, depth) for depth in (18, 50, 101)},
    **{f"ResNetV1Beta-{depth}": (ResNetV1Beta, depth) for depth in (18, 50, 101)},
    "MobileNetV2-0.5": (MobileNetV2, 0.5),
    "MobileNetV2-1.0": (MobileNetV2, 1.0),
}


def largest_difference(name, size, output_stride):
    """Dense output subsampled against nominal output, as a share of the latter's largest value."""
    network, kind = NETWORKS[name]
    torch.manual_seed(0)
    nominal = network(kind, output_stride=32, out_indices=(3,)).double().eval()
    # The moving statistics of a fresh network would let the activations explode.
    for module in nominal.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var.fill_(2.0)
    dense = network(kind, output_stride=output_stride, out_indices=(3,)).double().eval()
    dense.load_state_dict(nominal.state_dict())
    image = torch.randn(1, 3, *size, dtype=torch.float64)
    factor = 32 // output_stride
    with torch.no_grad():
        expected = nominal(image)[0]
        subsampled = dense(image)[0][..., ::factor, ::factor]
    assert subsampled.shape == expected.shape
    return (subsampled - expected).abs().max() / expected.abs().max()


@pytest.mark.parametrize(
    ("name", "output_stride"),
    [(n, s) for n in sorted(NETWORKS) for s in (4, 8, 16) if s > 4 or n.startswith("ResNet")],
)
def test_the_dense_output_subsampled_equals_the_nominal_output(name, output_stride):
    # MobileNetV2's strided convolutions pad by the size: odd maps, as 32 k + 1 gives, are needed.
    size = (65, 97) if name.startswith("MobileNet") else (66, 97)
    assert largest_difference(name, size, output_stride) < 1e-12


@pytest.mark.parametrize("size", [(64, 96), (65, 96), (81, 97)])
def test_the_dense_mobilenet_computes_something_else_where_a_map_is_even(size):
    assert largest_difference("MobileNetV2-0.5", size, 16) > 1e-3
