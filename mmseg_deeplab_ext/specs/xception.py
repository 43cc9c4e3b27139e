"""TensorFlow DeepLab's Xception.

Source of every number: tensorflow/models, ``research/deeplab/core/xception.py`` (the
``xception_{41,65,71}`` builders) and ``core/feature_extractor.py``, cross-checked against the
variable inventories of the official graphs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator

from mmseg_deeplab_ext.config_values import check_choice
from mmseg_deeplab_ext.specs.backbone import (
    BackboneSpec,
    BatchNorm,
    Shapes,
    StemConv,
    Tap,
    stem_rules,
)
from mmseg_deeplab_ext.specs.rule import Rule, conv_module_rules, separable_module_rules

_STEM = StemConv("entry_flow/conv1_1", 3, 32, 2), StemConv("entry_flow/conv1_2", 3, 64, 1)
_SHORT_ENTRY = ((128, 2), (256, 2), (728, 2))
_LONG_ENTRY = ((128, 2), (256, 1), (256, 2), (728, 1), (728, 2))
_DEPTHS = {41: (_SHORT_ENTRY, 8), 65: (_SHORT_ENTRY, 16), 71: (_LONG_ENTRY, 16)}
"""Depth -> channels and stride of each block of the entry flow; units of the middle flow."""
_MIDDLE = (728, 728, 728)
_EXIT = (728, 1024, 1024), (1536, 1536, 2048)


@dataclass(frozen=True)
class XceptionUnitSpec:
    """An ``xception_module``: three separable convolutions, and what is added to them.

    Attributes:
        name: its scope in the network's.
        in_channels: input channels.
        widths: output channels of each convolution.
        stride: nominal stride.
        skip: what is added: "conv", a projection of the input; "sum", the input; "none". The last
            unit of a network has none, and only there both halves of a convolution are activated.
    """

    name: str
    in_channels: int
    widths: tuple[int, int, int]
    stride: int
    skip: str

    @property
    def channels(self) -> int:
        """Output channels."""
        return self.widths[-1]


@dataclass(frozen=True)
class XceptionSpec(BackboneSpec):
    """``xception_{41,65,71}`` up to the 2048 channels of ``exit_flow/block2``."""

    depth: int = 65

    module = "Xception"
    variant = "xception_{depth}"
    scope_format = "xception_{depth}"
    title = "Xception-{depth}"
    classifier = ("logits/",)
    batch_norm = BatchNorm(decay=0.9997, eps=1e-3)
    weight_decay = 4e-5
    entry_stride = 2
    output_strides = (8, 16, 32)

    def __post_init__(self) -> None:
        check_choice("depth", self.depth, tuple(_DEPTHS))

    @property
    def multi_grid_length(self) -> int:
        """One per convolution of the last block's only unit."""
        return len(_EXIT[-1])

    @property
    def stem(self) -> tuple[StemConv, ...]:
        """The convolutions before the first block."""
        return _STEM

    @property
    def blocks(self) -> tuple[tuple[XceptionUnitSpec, ...], ...]:
        """TensorFlow's blocks: all but that of the middle flow have a single unit."""
        entry, middle_units = _DEPTHS[self.depth]
        table = [
            *(
                (f"entry_flow/block{number}", 1, (width,) * 3, stride, "conv")
                for number, (width, stride) in enumerate(entry, start=1)
            ),
            ("middle_flow/block1", middle_units, _MIDDLE, 1, "sum"),
            ("exit_flow/block1", 1, _EXIT[0], 2, "conv"),
            ("exit_flow/block2", 1, _EXIT[1], 1, "none"),
        ]
        channels = self.stem[-1].channels
        blocks = []
        for block, count, widths, stride, skip in table:
            units = []
            for number in range(1, count + 1):
                name = f"{block}/unit_{number}/xception_module"
                units.append(XceptionUnitSpec(name, channels, widths, stride, skip))
                channels = widths[-1]
            blocks.append(tuple(units))
        return tuple(blocks)

    @property
    def taps(self) -> tuple[Tap, ...]:
        """What enters the strided convolution of every strided unit but the first."""
        strided = [number for number, (unit, *_) in enumerate(self.blocks) if unit.stride > 1]
        return tuple(
            Tap(
                stride=4 * 2**index,
                channels=self.blocks[number][0].widths[1],
                block=number,
                unit=0,
                end_point=f"{self.scope}/{self.blocks[number][0].name}/separable_conv2_pointwise",
            )
            for index, number in enumerate(strided[1:])
        )

    @classmethod
    def published(cls) -> tuple[XceptionSpec, ...]:
        """Every depth that the official code builds."""
        return tuple(cls(depth) for depth in _DEPTHS)

    @classmethod
    def found_in(cls, shapes: Shapes) -> XceptionSpec | None:
        """The scope tells the depth."""
        scopes = {name.partition("/")[0] for name in shapes}
        return next((spec for spec in cls.published() if spec.scope in scopes), None)

    def rules(self, prefix: str = BackboneSpec.prefix) -> Iterator[Rule]:
        """All its variables; the tensors' names start with ``prefix``."""
        yield from stem_rules(self.stem, self.scope, f"{prefix}stem")
        for b, block in enumerate(self.blocks, start=1):
            for u, unit in enumerate(block):
                yield from _unit_rules(unit, f"{self.scope}/{unit.name}", f"{prefix}layer{b}.{u}")


def _unit_rules(unit: XceptionUnitSpec, tf_scope: str, torch: str) -> Iterator[Rule]:
    channels = unit.in_channels
    for number, width in enumerate(unit.widths):
        yield from separable_module_rules(
            f"{tf_scope}/separable_conv{number + 1}",
            f"{torch}.convs.{number}",
            shape=(3, 3, channels, width),
        )
        channels = width
    if unit.skip == "conv":
        shape = (1, 1, unit.in_channels, unit.channels)
        yield from conv_module_rules(f"{tf_scope}/shortcut", f"{torch}.shortcut", shape=shape)
