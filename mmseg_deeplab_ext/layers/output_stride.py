"""The one place that turns nominal strides and an output stride into strides and dilations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence

from mmseg_deeplab_ext.config_values import whole_numbers
from mmseg_deeplab_ext.errors import ConfigError


@dataclass(frozen=True)
class UnitGeometry:
    """How one unit is run: its stride, and the dilation of its 3x3 convolutions."""

    stride: int
    dilation: int


def walk_output_stride(
    blocks: Sequence[Sequence[int]],
    *,
    entry_stride: int,
    output_stride: int,
    multi_grid: Sequence[int] | None = None,
) -> list[list[UnitGeometry]]:
    """Assign stride and dilation to every unit, as tf_slim's ``stack_blocks_dense`` does.

    Strides are applied until ``output_stride`` is reached. From then on every unit runs with
    stride 1 and the current rate, and each stride left out multiplies the rate of the units
    *after* it. So the dense feature map, subsampled, equals the nominal one.

    Args:
        blocks: nominal stride of every unit, per block.
        entry_stride: stride of the feature map that enters the first unit (stem and pool).
        output_stride: wanted ratio of image size to final feature size.
        multi_grid: multipliers of the dilation, one per unit of the last block; None is 1 each. In
            MMSegmentation's ResNet ``multi_grid`` *replaces* the dilation; in TensorFlow and in
            the DeepLabv3 paper it multiplies it.

    Returns:
        Geometry of every unit, per block.

    Raises:
        ConfigError: if ``multi_grid`` has another length than the last block, or the strides
            never reach ``output_stride`` exactly.
    """
    if multi_grid is None:
        multi_grid = (1,) * len(blocks[-1])
    multi_grid = whole_numbers("multi_grid", multi_grid, minimum=1)
    if len(multi_grid) != len(blocks[-1]):
        raise ConfigError(
            f"multi_grid={multi_grid} has {len(multi_grid)} entries, but the last block of "
            f"this network has {len(blocks[-1])} units: give one multiplier per unit"
        )
    grids = [[1] * len(block) for block in blocks[:-1]] + [list(multi_grid)]
    current, rate = entry_stride, 1
    walked = []
    for strides, grid in zip(blocks, grids):
        units = []
        for stride, multiplier in zip(strides, grid):
            if current == output_stride:
                units.append(UnitGeometry(1, rate * multiplier))
                rate *= stride
            else:
                units.append(UnitGeometry(stride, multiplier))
                current *= stride
        walked.append(units)
    if current != output_stride:
        raise ConfigError(f"output_stride={output_stride} cannot be reached from these strides")
    return walked
