"""The one place that turns nominal strides and an output stride into strides and dilations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Sequence

from mmseg_deeplab_ext.config_values import whole_numbers
from mmseg_deeplab_ext.errors import ConfigError


@dataclass(frozen=True)
class UnitGeometry:
    """How one unit is run.

    Attributes:
        stride: of the unit.
        dilations: of its atrous convolutions: one for each, or one for all.
    """

    stride: int
    dilations: tuple[int, ...] = (1,)

    @property
    def dilation(self) -> int:
        """The dilation of a unit that has one for all its convolutions."""
        (dilation,) = self.dilations
        return dilation


def walk_output_stride(
    blocks: Sequence[Sequence[int]],
    *,
    entry_stride: int,
    output_stride: int,
    grids: Mapping[int, Sequence[Sequence[int]]] | None = None,
) -> list[list[UnitGeometry]]:
    """Assign stride and dilations to every unit, as tf_slim's ``stack_blocks_dense`` does.

    Strides are applied until ``output_stride`` is reached. From then on every unit runs with
    stride 1 and the current rate, and each stride left out multiplies the rate of the units
    *after* it. So the dense feature map, subsampled, equals the nominal one.

    Args:
        blocks: nominal stride of every unit, per block.
        entry_stride: stride of the feature map that enters the first unit (stem and pool).
        output_stride: wanted ratio of image size to final feature size.
        grids: multi-grid, block number -> for each of its units the multipliers of the dilation,
            one per atrous convolution or one for all. In MMSegmentation's ResNet ``multi_grid``
            *replaces* the dilation; in TensorFlow and in the DeepLabv3 paper it multiplies it.

    Returns:
        Geometry of every unit, per block.

    Raises:
        ConfigError: if the strides never reach ``output_stride`` exactly.
    """
    grids = grids or {}
    current, rate = entry_stride, 1
    walked = []
    for number, strides in enumerate(blocks):
        units = []
        for stride, grid in zip(strides, grids.get(number) or [(1,)] * len(strides)):
            dilations = tuple(rate * multiplier for multiplier in grid)
            if current == output_stride:
                units.append(UnitGeometry(1, dilations))
                rate *= stride
            else:
                units.append(UnitGeometry(stride, dilations))
                current *= stride
        walked.append(units)
    if current != output_stride:
        raise ConfigError(f"output_stride={output_stride} cannot be reached from these strides")
    return walked


def checked_multi_grid(multi_grid: Any, *, count: int, place: str) -> tuple[int, ...]:
    """The multipliers that a config gives, or else 1 each.

    Args:
        multi_grid: what the config says; None for 1 each.
        count: how many there must be.
        place: what each of them is for, for the message.

    Raises:
        ConfigError: they are no whole numbers from 1 on, or of another number.
    """
    if multi_grid is None:
        return (1,) * count
    checked = whole_numbers("multi_grid", multi_grid, minimum=1)
    if len(checked) != count:
        raise ConfigError(
            f"multi_grid={checked} has {len(checked)} entries, but this network has {count} "
            f"{place}: give one multiplier for each"
        )
    return checked
