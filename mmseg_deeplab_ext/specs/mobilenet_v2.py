"""TensorFlow DeepLab's MobileNetV2.

Source of every number: ``research/slim/nets/mobilenet/mobilenet_v2.py`` (``V2_DEF``) and
``research/deeplab/core/feature_extractor.py``, cross-checked against the variable inventories of
the official graphs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Iterator

from mmseg_deeplab_ext.config_values import check_positive
from mmseg_deeplab_ext.errors import CheckpointUnsupportedError
from mmseg_deeplab_ext.specs.backbone import BackboneSpec, BatchNorm, Shapes, Tap
from mmseg_deeplab_ext.specs.rule import Rule, conv_module_rules, depthwise_module_rules
from mmseg_deeplab_ext.specs.widths import differences, make_divisible, multiplier_of

_STEM = 32
"""Channels of the 3x3 stem convolution, which has stride 2, at multiplier 1."""
# The 17 units of DeepLab's network, which ends at slim's ``layer_18``: the 1280 channels and the
# classifier behind it are not used. A row is a run of units of one width, as in the paper's table
# 2; its first unit has the stride.
_BLOCKS = (  # expansion, channels, units, stride
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_TAPPED_BLOCKS = {4: 1, 8: 2, 16: 4}
"""Stride -> block whose last unit is tapped: ``layer_4``, ``layer_7``, ``layer_14``."""


@dataclass(frozen=True)
class InvertedResidualSpec:
    """An inverted residual unit.

    Attributes:
        in_channels: input channels.
        expanded: channels of the depthwise convolution; the input's where there is no expansion.
        channels: output channels.
        stride: nominal stride.
    """

    in_channels: int
    expanded: int
    channels: int
    stride: int


@dataclass(frozen=True)
class MobileNetV2Spec(BackboneSpec):
    """``mobilenet_v2`` up to the 320 channels of ``layer_18``.

    Attributes:
        widen_factor: slim's ``depth_multiplier``.
    """

    widen_factor: float = 1.0

    width_divisor: ClassVar[int] = 1

    module = "MobileNetV2"
    variant = "mobilenet_v2"
    scope_format = "MobilenetV2"
    title = "MobileNetV2 with depth multiplier {widen_factor:g}"
    classifier = ("Conv_1/", "Logits/")  # behind the end of DeepLab's network (mobilenet_v2.py)
    batch_norm = BatchNorm(decay=0.997, eps=1e-3)  # mobilenet.py; eps is tf_slim's default
    weight_decay = 4e-5
    entry_stride = 2
    output_strides = (8, 16, 32)

    def __post_init__(self) -> None:
        check_positive(
            "widen_factor",
            self.widen_factor,
            hint="TensorFlow's depth multiplier, 1.0 or 0.5 in the official models",
        )

    def _width(self, channels: int) -> int:
        """Scaled channels: whole ones (``divisible_by=1``).

        Unlike torchvision, MMSegmentation and slim's own classifiers, which round to multiples of
        8: 12 instead of 16 channels for a width of 24 and a factor of 0.5.
        """
        return make_divisible(channels * self.widen_factor, self.width_divisor)

    @property
    def stem_channels(self) -> int:
        """Channels of the stem."""
        return self._width(_STEM)

    @property
    def blocks(self) -> tuple[tuple[InvertedResidualSpec, ...], ...]:
        """Expanded widths are rounded to multiples of 8, whatever the widths around them."""
        channels = self.stem_channels
        blocks = []
        for expansion, width, count, stride in _BLOCKS:
            units = []
            for unit_stride in (stride,) + (1,) * (count - 1):
                expanded = channels if expansion == 1 else make_divisible(channels * expansion, 8)
                outputs = self._width(width)
                units.append(InvertedResidualSpec(channels, expanded, outputs, unit_stride))
                channels = outputs
            blocks.append(tuple(units))
        return tuple(blocks)

    @property
    def taps(self) -> tuple[Tap, ...]:
        """The depthwise convolution, after batch norm and ReLU6."""
        blocks = self.blocks
        return tuple(
            Tap(
                stride=stride,
                channels=blocks[number][-1].expanded,
                block=number,
                unit=len(blocks[number]) - 1,
                # layer_1 is the stem.
                end_point=f"layer_{1 + sum(map(len, blocks[: number + 1]))}/depthwise_output",
            )
            for stride, number in _TAPPED_BLOCKS.items()
        )

    @classmethod
    def published(cls) -> tuple[MobileNetV2Spec, ...]:
        """The sizes of the model zoo."""
        return cls(1.0), cls(0.5)

    @classmethod
    def found_in(cls, shapes: Shapes) -> MobileNetV2Spec | None:
        """By its last projection, whose channels are the least rounded."""
        last = shapes.get("MobilenetV2/expanded_conv_16/project/weights")
        if last is None or len(last) != 4:
            return None
        found = cls._nearest(shapes, last[-1])
        if differences(shapes, found.rules()):
            _refuse_slims(shapes, last[-1])
        return found

    @classmethod
    def _nearest(cls, shapes: Shapes, last_width: int) -> MobileNetV2Spec:
        factor = multiplier_of(
            shapes,
            lambda factor: cls(factor).rules(),
            last_width=last_width,
            nominal=_BLOCKS[-1][1],
            divisor=cls.width_divisor,
        )
        return cls(factor)

    def rules(self, prefix: str = BackboneSpec.prefix) -> Iterator[Rule]:
        """All its variables; their names are the same for every multiplier."""
        shape = (3, 3, 3, self.stem_channels)
        yield from conv_module_rules(f"{self.scope}/Conv", f"{prefix}stem.0", shape=shape)
        number = 0
        for b, block in enumerate(self.blocks, start=1):
            for u, unit in enumerate(block):
                tf_scope = f"{self.scope}/expanded_conv{f'_{number}' if number else ''}"
                yield from _unit_rules(unit, tf_scope, f"{prefix}layer{b}.{u}")
                number += 1


class _SlimSpec(MobileNetV2Spec):
    """The network of slim's own classifiers (``divisible_by=8``); not built here."""

    width_divisor = 8


def _refuse_slims(shapes: Shapes, last_width: int) -> None:
    """Name slim's own network, if the variables are one.

    Raises:
        CheckpointUnsupportedError: they are.
    """
    slim = _SlimSpec._nearest(shapes, last_width)
    if differences(shapes, slim.rules()):
        return
    pairs = zip(slim.rules(), MobileNetV2Spec(slim.widen_factor).rules())
    name, theirs, ours = next((a.tf_name, a.shape, b.shape) for a, b in pairs if a.shape != b.shape)
    raise CheckpointUnsupportedError(
        f"the file holds slim's own {slim}, an ImageNet classifier's: its widths are multiples of "
        f"8 ({name} {list(theirs)}). DeepLab's of this multiplier, which this version builds, has "
        f"others ({list(ours)}); only of multiplier 1 both are the same"
    )


def _unit_rules(unit: InvertedResidualSpec, tf_scope: str, torch: str) -> Iterator[Rule]:
    if unit.expanded != unit.in_channels:
        shape = (1, 1, unit.in_channels, unit.expanded)
        yield from conv_module_rules(f"{tf_scope}/expand", f"{torch}.expand", shape=shape)
    yield from depthwise_module_rules(
        f"{tf_scope}/depthwise", f"{torch}.depthwise", channels=unit.expanded
    )
    shape = (1, 1, unit.expanded, unit.channels)
    yield from conv_module_rules(f"{tf_scope}/project", f"{torch}.project", shape=shape)
