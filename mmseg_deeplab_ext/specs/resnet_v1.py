"""TensorFlow's ResNet v1, with its plain and its ``_beta`` stem.

Source of every number: tensorflow/models, ``research/deeplab/core/resnet_v1_beta.py`` (the
``resnet_v1_{18,50,101}[_beta]`` builders) and ``core/feature_extractor.py``, cross-checked against
the variable inventories of the official graphs. The cascade is the DeepLabv3 paper's
(arXiv:1706.05587, section 3.2), which the official code does not have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterable, Iterator

from mmseg_deeplab_ext.config_values import check_choice
from mmseg_deeplab_ext.errors import CheckpointMismatchError
from mmseg_deeplab_ext.specs.backbone import (
    FUSED_BATCH_NORM_EPS,
    GREY,
    UNIT_RANGE,
    BackboneSpec,
    BatchNorm,
    Input,
    Shapes,
    StemConv,
    Tap,
    stem_rules,
)
from mmseg_deeplab_ext.specs.rule import Rule, conv_rules

_UNITS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
"""Depth -> units of each block."""
_WIDTHS = (64, 128, 256, 512)
"""Width of the 3x3 convolutions of each block."""
_COPIES = (0, 1, 2, 3)
"""How many copies of the last block may follow it: the paper goes up to block 7."""
_MEAN = (123.15, 115.90, 103.06)


@dataclass(frozen=True)
class ResidualUnitSpec:
    """A residual unit.

    Attributes:
        in_channels: input channels. Where they are not the output's, the shortcut has a projection.
        width: output channels of all convolutions on the residual branch but the last.
        channels: output channels.
        stride: nominal stride.
    """

    in_channels: int
    width: int
    channels: int
    stride: int


@dataclass(frozen=True)
class ResNetV1Spec(BackboneSpec):
    """``resnet_v1_{18,50,101}``: one 7x7 stem convolution, images with their mean subtracted.

    Attributes:
        depth: 18, 50 or 101.
        cascade: how many copies of block 4 follow it.
    """

    depth: int = 50
    cascade: int = 0

    module = "ResNetV1"
    variant = "resnet_v1_{depth}"
    scope_format = "resnet_v1_{depth}"
    title = "ResNet-{depth} (plain stem)"
    classifier = ("logits/",)
    batch_norm = BatchNorm(decay=0.95, eps=FUSED_BATCH_NORM_EPS)
    weight_decay = 1e-4
    entry_stride = 4

    def __post_init__(self) -> None:
        check_choice("depth", self.depth, tuple(_UNITS))
        check_choice("cascade", self.cascade, _COPIES)

    def __str__(self) -> str:
        added = f"blocks 5 to {4 + self.cascade}" if self.cascade > 1 else "block 5"
        return super().__str__() + f" with {added} in cascade" * bool(self.cascade)

    @property
    def output_strides(self) -> tuple[int, ...]:  # type: ignore[override]
        """The last is the nominal one, without any dilation."""
        return (4, 8, 16, 32, 64, 128, 256)[: 4 + self.cascade]

    @property
    def kernels(self) -> tuple[int, ...]:
        """Kernels on the residual branch: ``lite_bottleneck`` for depth 18, else ``bottleneck``."""
        return (3, 3) if self.depth == 18 else (1, 3, 1)

    @property
    def unit_name(self) -> str:
        """TensorFlow's name of its kind of unit."""
        return "lite_bottleneck_v1" if self.depth == 18 else "bottleneck_v1"

    @property
    def input(self) -> Input:
        """Only this variant subtracts the mean; of these, 18 is not in the list of pad pixels."""
        return Input(mean=_MEAN, std=(1.0,) * 3, pad=GREY if self.depth == 18 else _MEAN)

    @property
    def multi_grid_length(self) -> int:
        """One per unit of block 4, and of each copy of it."""
        return _UNITS[self.depth][-1]

    @property
    def stem(self) -> tuple[StemConv, ...]:
        """The convolutions before the max pool."""
        return (StemConv("conv1", 7, 64, 2),)

    @property
    def blocks(self) -> tuple[tuple[ResidualUnitSpec, ...], ...]:
        """TensorFlow puts a block's stride into its last unit, torchvision into its first.

        Every block but the last has a nominal stride of 2.
        """
        channels = self.stem[-1].channels
        counts, widths = (each + each[-1:] * self.cascade for each in (_UNITS[self.depth], _WIDTHS))
        blocks = []
        for number, (count, width) in enumerate(zip(counts, widths), start=1):
            stride = 1 if number == len(counts) else 2
            outputs = width if self.depth == 18 else 4 * width
            units = []
            for unit_stride in (1,) * (count - 1) + (stride,):
                units.append(ResidualUnitSpec(channels, width, outputs, unit_stride))
                channels = outputs
            blocks.append(tuple(units))
        return tuple(blocks)

    @property
    def taps(self) -> tuple[Tap, ...]:
        """The residual branch of the last unit before each strided one."""
        return tuple(
            Tap(
                stride=4 * 2**number,
                channels=block[-2].channels,
                block=number,
                unit=len(block) - 2,
                end_point=f"{self.scope}/block{number + 1}/unit_{len(block) - 1}/{self.unit_name}"
                f"/conv{len(self.kernels)}",
            )
            for number, block in enumerate(self.blocks[: len(_WIDTHS) - 1])
        )

    @classmethod
    def published(cls) -> tuple[ResNetV1Spec, ...]:
        """Every depth that the official code builds, which has no cascade."""
        return tuple(cls(depth) for depth in _UNITS)

    @classmethod
    def found_in(cls, shapes: Shapes) -> ResNetV1Spec | None:
        """Both variants have one scope; the stem tells them apart."""
        alike = (s for s in cls.published() if f"{s.scope}/{s.stem[0].name}/weights" in shapes)
        return next(alike, None)

    def rules(self, prefix: str = BackboneSpec.prefix) -> Iterator[Rule]:
        """All its variables; the tensors' names start with ``prefix``.

        Raises:
            CheckpointMismatchError: TensorFlow's DeepLab has no such network.
        """
        if self.cascade:
            raise CheckpointMismatchError(
                f"{self} has no counterpart in TensorFlow's DeepLab, whose {self.scope} ends with "
                "block4; without `cascade` it has one"
            )
        yield from stem_rules(self.stem, self.scope, f"{prefix}stem")
        for b, block in enumerate(self.blocks, start=1):
            for u, unit in enumerate(block):
                tf_scope = f"{self.scope}/block{b}/unit_{u + 1}/{self.unit_name}"
                yield from self._unit_rules(unit, tf_scope, f"{prefix}layer{b}.{u}")

    def options(self) -> dict[str, Any]:
        """The config keys that its weights decide; a network of TensorFlow's has no ``cascade``."""
        options = super().options()
        return options if self.cascade else {"depth": options["depth"]}

    def copied_names(self, names: Iterable[str]) -> dict[str, str]:
        """Where a cascade's blocks start from, for weights that have nothing of them.

        The first unit of block 4 widens its input, which those of the copies don't: they start
        from the second.

        Args:
            names: the weights that there are, as in this backbone's state dict.

        Returns:
            Name of each weight that is to be copied from block 4 -> name of its source.
        """
        names = set(names)
        last, copies = len(_WIDTHS), {}
        for block in range(last + 1, len(self.blocks) + 1):
            if any(name.startswith(f"layer{block}.") for name in names):
                continue
            for unit in range(len(self.blocks[-1])):
                source, copied = f"layer{last}.{max(unit, 1)}.", f"layer{block}.{unit}."
                found = (name for name in names if name.startswith(source))
                copies.update({copied + name[len(source) :]: name for name in found})
        return copies

    def _unit_rules(self, unit: ResidualUnitSpec, tf_scope: str, torch: str) -> Iterator[Rule]:
        channels = unit.in_channels
        if channels != unit.channels:
            shape = (1, 1, channels, unit.channels)
            yield from conv_rules(
                f"{tf_scope}/shortcut",
                f"{torch}.downsample.0",
                shape=shape,
                norm=f"{torch}.downsample.1",
            )
        for number, kernel in enumerate(self.kernels, start=1):
            outputs = unit.channels if number == len(self.kernels) else unit.width
            yield from conv_rules(
                f"{tf_scope}/conv{number}",
                f"{torch}.conv{number}",
                shape=(kernel, kernel, channels, outputs),
                norm=f"{torch}.bn{number}",
            )
            channels = outputs


@dataclass(frozen=True)
class ResNetV1BetaSpec(ResNetV1Spec):
    """``resnet_v1_{18,50,101}_beta``: three 3x3 stem convolutions, images from -1 to 1."""

    module = "ResNetV1Beta"
    variant = "resnet_v1_{depth}_beta"
    title = "ResNet-{depth}-beta"

    @property
    def input(self) -> Input:
        """As of every network but the plain ResNets."""
        return UNIT_RANGE

    @property
    def multi_grid(self) -> tuple[int, ...]:
        """Of the ImageNet weights (``common.py``)."""
        return (1, 2, 4)[: self.multi_grid_length]

    @property
    def stem(self) -> tuple[StemConv, ...]:
        """``root_depth_multiplier`` is 0.25 for depth 18."""
        widths = (16, 16, 32) if self.depth == 18 else (64, 64, 128)
        strides = (2, 1, 1)
        return tuple(
            StemConv(f"conv1_{number}", 3, width, stride)
            for number, (width, stride) in enumerate(zip(widths, strides), start=1)
        )
