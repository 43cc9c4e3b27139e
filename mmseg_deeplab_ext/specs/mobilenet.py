"""What slim's MobileNets have in common: a stem, numbered units, a depth multiplier.

Source: ``research/slim/nets/mobilenet/mobilenet.py`` and ``conv_blocks.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Iterator, Mapping, NamedTuple, TypeVar, Union

from mmseg_deeplab_ext.config_values import check_positive
from mmseg_deeplab_ext.specs.backbone import BackboneSpec, BatchNorm, Shapes, Tap
from mmseg_deeplab_ext.specs.inverted_residual import InvertedResidualSpec, LastConvSpec
from mmseg_deeplab_ext.specs.rule import Rule, conv_module_rules
from mmseg_deeplab_ext.specs.widths import make_divisible, multiplier_of

RELU, RELU6, HARD_SWISH = "ReLU", "ReLU6", "HardSwish"

Layer = Union[InvertedResidualSpec, LastConvSpec]
Mobile = TypeVar("Mobile", bound="MobileNetSpec")


class Row(NamedTuple):
    """A unit in a table, at multiplier 1: see :class:`InvertedResidualSpec`."""

    factor: float
    """Expanded channels / input channels."""
    channels: int
    stride: int = 1
    kernel: int = 3
    squeezes: bool = False
    activation: str = RELU
    fused: bool = False
    residual: bool = True


@dataclass(frozen=True)
class Design:
    """A network as a table, at multiplier 1.

    Attributes:
        stem: channels of the 3x3 stem convolution, which has stride 2.
        blocks: the units.
        last: channels of the 1x1 convolution behind them; 0 where there is none.
        activation: of the stem and of the last convolution.
        tapped_blocks: stride -> the block whose last unit a decoder taps.
    """

    stem: int
    blocks: tuple[tuple[Row, ...], ...]
    activation: str
    last: int = 0
    tapped_blocks: Mapping[int, int] = field(default_factory=dict)


class MobileNetSpec(BackboneSpec):
    """A MobileNet. Its families are dataclasses that have ``widen_factor`` as a field.

    Attributes:
        widen_factor: slim's ``depth_multiplier``.
        width_divisor: what output channels are rounded to.
    """

    widen_factor: float

    width_divisor: ClassVar[int] = 8

    classifier: ClassVar[tuple[str, ...]] = ()
    batch_norm = BatchNorm(decay=0.997, eps=1e-3)  # mobilenet.py; eps is tf_slim's default
    weight_decay = 4e-5
    entry_stride = 2
    output_strides = (8, 16, 32)

    def __post_init__(self) -> None:
        check_positive(
            "widen_factor",
            self.widen_factor,
            hint="TensorFlow's depth multiplier, 1.0 or less in the official models",
        )

    @property
    def design(self) -> Design:
        """The table that the network is made from."""
        raise NotImplementedError

    def _width(self, channels: int) -> int:
        return make_divisible(channels * self.widen_factor, self.width_divisor)

    @property
    def stem_channels(self) -> int:
        """Channels of the stem."""
        return self._width(self.design.stem)

    @property
    def units(self) -> tuple[tuple[InvertedResidualSpec, ...], ...]:
        """The units of every block.

        Expanded and squeezed widths are multiples of 8, whatever the widths around them.
        """
        channels, number = self.stem_channels, 0
        blocks = []
        for rows in self.design.blocks:
            units = []
            for row in rows:
                unit = self._unit(row, channels, f"expanded_conv{f'_{number}' if number else ''}")
                units.append(unit)
                channels, number = unit.channels, number + 1
            blocks.append(tuple(units))
        return tuple(blocks)

    @property
    def blocks(self) -> tuple[tuple[Layer, ...], ...]:
        """The units, and the last convolution as a block of its own."""
        units, design = self.units, self.design
        if not design.last:
            return units
        last = self._width(design.last)
        conv = LastConvSpec("Conv_1", units[-1][-1].channels, last, design.activation)
        return (*units, (conv,))

    def _unit(self, row: Row, inputs: int, name: str) -> InvertedResidualSpec:
        expanded = inputs if row.factor == 1 else make_divisible(inputs * row.factor, 8)
        return InvertedResidualSpec(
            name,
            inputs,
            expanded,
            self._width(row.channels),
            stride=row.stride,
            kernel=row.kernel,
            squeezed=make_divisible(expanded / 4, 8) if row.squeezes else 0,
            activation=row.activation,
            fused=row.fused,
            residual=row.residual,
        )

    @property
    def taps(self) -> tuple[Tap, ...]:
        """The depthwise convolution, after batch norm and activation, before squeeze-excite."""
        blocks = self.units
        return tuple(
            Tap(
                stride=stride,
                channels=blocks[number][-1].expanded,
                block=number,
                unit=len(blocks[number]) - 1,
                # layer_1 is the stem.
                end_point=f"layer_{1 + sum(map(len, blocks[: number + 1]))}/depthwise_output",
            )
            for stride, number in self.design.tapped_blocks.items()
        )

    def names_in(self, shapes: Shapes) -> set[str]:
        """The variables of a file that are in its scope."""
        return {name for name in shapes if name.startswith(f"{self.scope}/")}

    def fitted(self: Mobile, shapes: Shapes) -> Mobile:
        """The same with the multiplier of a file; of 1 if the file lacks the last kernel.

        That has the widest output, and so the least rounded.
        """
        last = [rule.tf_name for rule in self.rules() if rule.tf_name.endswith("/weights")][-1]
        shape = shapes.get(last, ())
        if len(shape) != 4:
            return self._with(1.0)
        factor = multiplier_of(
            shapes,
            lambda factor: self._with(factor).rules(),
            last_width=shape[-1],
            nominal=self._with(1.0).channels,
            divisor=self.width_divisor,
        )
        return self._with(factor)

    def _with(self: Mobile, factor: float) -> Mobile:
        return replace(self, **{"widen_factor": factor})

    def rules(self, prefix: str = BackboneSpec.prefix) -> Iterator[Rule]:
        """All its variables; their names are the same for every multiplier."""
        shape = (3, 3, 3, self.stem_channels)
        yield from conv_module_rules(f"{self.scope}/Conv", f"{prefix}stem.0", shape=shape)
        for b, block in enumerate(self.blocks, start=1):
            for u, unit in enumerate(block):
                yield from unit.rules(f"{self.scope}/{unit.name}", f"{prefix}layer{b}.{u}")
