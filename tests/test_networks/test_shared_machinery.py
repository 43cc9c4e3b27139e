"""What the shared layers and the shared base can do beyond the families that use them so far."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from mmseg_deeplab_ext.backbones.tapped_backbone import TappedBackbone
from mmseg_deeplab_ext.decode_heads.aspp import ASPP
from mmseg_deeplab_ext.decode_heads.decoder import DecoderStage
from mmseg_deeplab_ext.errors import CheckpointMismatchError, ConfigError
from mmseg_deeplab_ext.layers import UnitGeometry
from mmseg_deeplab_ext.layers.inverted_residual import InvertedResidual
from mmseg_deeplab_ext.layers.residual_unit import ResidualUnit
from mmseg_deeplab_ext.specs.backbone import BackboneSpec, BatchNorm, Tap
from mmseg_deeplab_ext.specs.decoder import Decoder
from mmseg_deeplab_ext.specs.head_parts import Aspp

BN = dict(type="BN")
RELU6 = dict(type="ReLU6")


@dataclass(frozen=True)
class CellUnit:
    stride: int
    channels: int


@dataclass(frozen=True)
class CellsSpec(BackboneSpec):
    """A network of cells with two inputs, whose widths follow the output stride."""

    output_stride: int = 8

    module, variant, scope_format, title = "Cells", "cells", "cells", "Cells"
    classifier = ()
    batch_norm = BatchNorm(decay=0.9997, eps=1e-3)
    weight_decay, entry_stride, output_strides = 4e-5, 4, (8, 16)

    @property
    def blocks(self):
        width = self.output_stride
        return ((CellUnit(1, 3), CellUnit(2, width)), (CellUnit(2, 2 * width), CellUnit(1, 4)))

    @property
    def taps(self):
        return (Tap(stride=8, channels=self.output_stride, block=0, unit=1, end_point="Cell_1"),)


class Cell(nn.Module):
    def __init__(self, inputs, before, outputs, stride):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1, stride=stride)
        self.skip = nn.Conv2d(before, outputs, 1)

    def forward(self, state):
        net, before = state
        out = self.conv(net)
        before = nn.functional.interpolate(before, size=net.shape[-2:])
        out = out + nn.functional.interpolate(self.skip(before), size=out.shape[-2:])
        return (out, net), out


class Cells(TappedBackbone):
    def __init__(self, output_stride=8, **arguments):
        spec = CellsSpec(output_stride)
        super().__init__(
            spec,
            output_stride=output_stride,
            frozen_stages=-1,
            norm_eval=False,
            init_cfg=[],
            **{"out_indices": (0, 3), **arguments},
        )
        self.stem = nn.Sequential(nn.Conv2d(3, 5, 1, stride=4))
        widths = [5, 5]

        def cell(unit, geometry):
            widths.append(unit.channels)
            return Cell(widths[-2], widths[-3], unit.channels, geometry.stride)

        self._add_layers(cell)

    def _first_state(self, stem_map):
        return stem_map, stem_map

    def _feature(self, state):
        return state[0].relu()


@pytest.mark.parametrize("output_stride", [8, 16])
def test_units_may_hand_on_more_than_one_map_and_widths_may_follow_the_output_stride(output_stride):
    network = Cells(output_stride)
    tap, final = network(torch.randn(1, 3, 65, 97))
    assert tap.shape == (1, output_stride, 9, 13)
    assert final.shape == (1, 4, -(-65 // output_stride), -(-97 // output_stride))
    assert (final >= 0).all()
    sum(feature.sum() for feature in (tap, final)).backward()
    assert all(p.grad is not None for p in network.parameters())


def test_a_network_may_have_fewer_taps_than_three():
    assert len(Cells(out_indices=(3,))(torch.randn(1, 3, 65, 97))) == 1
    with pytest.raises(ConfigError, match=r"out_indices=\(1, 3\) .*0: decoder taps; 3: final"):
        Cells(out_indices=(1, 3))


def test_of_taps_with_equal_channels_a_decoder_takes_the_finest_in_the_order_of_its_stages():
    class Alike(CellsSpec):
        @property
        def taps(self):
            return tuple(Tap(4 * 2**i, (8, 16, 8)[i], 0, i, "") for i in range(3))

    assert Alike().tap_indices((8,)) == (0,)
    assert Alike().tap_indices((8, 8)) == (2, 0)
    assert Alike().tap_indices((8, 16)) == (2, 1)
    with pytest.raises(CheckpointMismatchError, match=r"\[16, 8, 16\].*\[8, 16, 8\]"):
        Alike().tap_indices((16, 8, 16))


def bounded(module, x):
    """Whether every output stays within ReLU6's range."""
    with torch.no_grad():
        out = module.eval()(1000 * x)
    return bool((out >= 0).all() and (out <= 6).all())


def test_activations_of_units_and_heads_are_what_they_are_told():
    x = torch.randn(1, 8, 9, 9, generator=torch.Generator().manual_seed(0))
    spec = Aspp(8, 4, num_rates=1)
    aspp = dict(dilations=(1, 2), window=None, dropout_ratio=0, norm_cfg=BN)
    assert bounded(ASPP(spec, **aspp, act_cfg=RELU6), x)
    assert not bounded(ASPP(spec, **aspp), x)
    stage = dict(c1_in_channels=8, c1_channels=2, spec=Decoder(8, 4, (8,), (2,)), norm_cfg=BN)
    for act_cfg, is_bounded in ((RELU6, True), (dict(type="ReLU"), False)):
        decoder = DecoderStage(8, **stage, act_cfg=act_cfg).eval()
        assert bool((decoder(1000 * x, 1000 * x) <= 6).all()) is is_bounded
    unit = ResidualUnit(
        8, 4, 8, kernel_sizes=(3, 3), geometry=UnitGeometry(1), norm_cfg=BN, act_cfg=RELU6
    )
    assert unit.eval()(1000 * x)[0].max() <= 6


def test_an_inverted_residual_takes_larger_kernels_and_other_activations():
    unit = InvertedResidual(
        8,
        8,
        expanded_channels=16,
        kernel_size=5,
        geometry=UnitGeometry(2),
        norm_cfg=BN,
        act_cfg=dict(type="HSwish"),
    ).eval()
    out, tap = unit(torch.randn(1, 8, 10, 11, generator=torch.Generator().manual_seed(0)))
    assert unit.depthwise.conv.kernel_size == (5, 5)
    assert (out.shape, tap.shape) == ((1, 8, 5, 6), (1, 16, 5, 6))
    assert tap.min() < 0, "hard-swish goes below zero, ReLU6 does not"
