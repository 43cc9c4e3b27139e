"""The official networks as data: what the backbones build and the checkpoint name maps walk.

Source of every number: tensorflow/models, ``research/deeplab/core/resnet_v1_beta.py`` (the
``resnet_v1_{18,50,101}[_beta]`` builders) and ``research/slim/nets/mobilenet/mobilenet_v2.py``
(``V2_DEF``), cross-checked against the variable inventories of the official graphs.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ResNetBlock:
    """One residual block ("stage" in torchvision's terms).

    Attributes:
        units: number of residual units.
        width: channels of the 3x3 convolutions.
        stride: nominal stride of the block. TensorFlow puts it into the *last* unit, unlike
            torchvision and MMSegmentation, which put it into the first one.
    """

    units: int
    width: int
    stride: int

    @property
    def unit_strides(self) -> tuple[int, ...]:
        """Nominal stride of each unit."""
        return (1,) * (self.units - 1) + (self.stride,)


@dataclass(frozen=True)
class ResNetArch:
    """One depth of the official ResNet v1.

    Attributes:
        bottleneck: 1x1-3x3-1x1 units (depth 50, 101), else two 3x3 ("lite", depth 18).
        blocks: the four residual blocks.
        beta_stem: widths of the three 3x3 stem convolutions of the ``_beta`` variant
            (``root_depth_multiplier`` is 0.25 for depth 18).
    """

    bottleneck: bool
    blocks: tuple[ResNetBlock, ...]
    beta_stem: tuple[int, int, int]

    @property
    def expansion(self) -> int:
        """Output channels of a unit per channel of its 3x3 convolutions."""
        return 4 if self.bottleneck else 1

    @property
    def kernel_sizes(self) -> tuple[int, ...]:
        """Kernels of the convolutions on the residual branch of a unit."""
        return (1, 3, 1) if self.bottleneck else (3, 3)

    @property
    def num_convs(self) -> int:
        """Convolutions on the residual branch of a unit."""
        return len(self.kernel_sizes)

    @property
    def tap_units(self) -> tuple[int, ...]:
        """For the three strided blocks: index of the unit that the DeepLab decoder taps.

        It is the last unit before the strided one (``block1/unit_2``, ``block2/unit_3``,
        ``block3/unit_5`` or ``unit_22``; ``unit_1`` for depth 18), from
        ``core/feature_extractor.py`` ``networks_to_feature_maps``.
        """
        return tuple(block.units - 2 for block in self.blocks[:-1])


def _resnet(units: tuple[int, int, int, int], *, bottleneck: bool, beta_stem) -> ResNetArch:
    layout = zip(units, (64, 128, 256, 512), (2, 2, 2, 1))
    return ResNetArch(bottleneck, tuple(ResNetBlock(*block) for block in layout), beta_stem)


RESNET_V1: dict[int, ResNetArch] = {
    18: _resnet((2, 2, 2, 2), bottleneck=False, beta_stem=(16, 16, 32)),
    50: _resnet((3, 4, 6, 3), bottleneck=True, beta_stem=(64, 64, 128)),
    101: _resnet((3, 4, 23, 3), bottleneck=True, beta_stem=(64, 64, 128)),
}

PLAIN_STEM_WIDTH = 64
"""Width of the single 7x7 stem convolution of the variants without ``_beta``."""


@dataclass(frozen=True)
class MobileNetV2Block:
    """One run of inverted residual units with the same width (a row of the paper's table 2).

    Attributes:
        expansion: channels of the depthwise convolution per input channel.
        width: output channels at ``widen_factor`` 1.
        units: number of units.
        stride: nominal stride of the block; its first unit has it.
    """

    expansion: int
    width: int
    units: int
    stride: int

    @property
    def unit_strides(self) -> tuple[int, ...]:
        """Nominal stride of each unit."""
        return (self.stride,) + (1,) * (self.units - 1)


MOBILENET_V2: tuple[MobileNetV2Block, ...] = (
    MobileNetV2Block(1, 16, 1, 1),
    MobileNetV2Block(6, 24, 2, 2),
    MobileNetV2Block(6, 32, 3, 2),
    MobileNetV2Block(6, 64, 4, 2),
    MobileNetV2Block(6, 96, 3, 1),
    MobileNetV2Block(6, 160, 3, 2),
    MobileNetV2Block(6, 320, 1, 1),
)
"""The 17 units of DeepLab's MobileNetV2, which ends at slim's ``layer_18``: the 1280 channels and
the classifier behind it are not used."""

MOBILENET_V2_STEM_WIDTH = 32
"""Width of the 3x3 stem convolution (stride 2) at ``widen_factor`` 1."""

MOBILENET_V2_LAST_WIDTH = MOBILENET_V2[-1].width
"""Width of the final feature map at ``widen_factor`` 1."""

MOBILENET_V2_TAP_BLOCKS = (1, 2, 4)
"""Blocks whose last unit the decoder taps, at strides 4, 8 and 16: slim's ``layer_4``, ``layer_7``
and ``layer_14``, from ``core/feature_extractor.py`` ``networks_to_feature_maps``."""


INPUTS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "ResNetV1Beta": ((127.5,) * 3, (127.5,) * 3),
    "ResNetV1": ((123.15, 115.90, 103.06), (1.0,) * 3),
    "MobileNetV2": ((127.5,) * 3, (127.5,) * 3),
}
"""Backbone -> mean and standard deviation of its input, RGB, for MMSegmentation's preprocessor.

From ``core/feature_extractor.py``: ``_preprocess_zero_mean_unit_range`` and
``_preprocess_subtract_imagenet_mean``."""


def official_rates(output_stride: int, count: int) -> tuple[int, ...]:
    """The first atrous rates of the ASPP: 6, 12, 18 at output stride 16.

    From ``g3doc/faq.md``; the TensorFlow code takes them as a flag and derives nothing.
    """
    return tuple(6 * 16 // output_stride * number for number in range(1, count + 1))


def mobilenet_v2_width(width: int, widen_factor: float) -> int:
    """Scaled number of channels of a convolution (slim's ``depth_multiplier``).

    DeepLab rounds to whole channels where the factor is not 1 (``divisible_by=1``), unlike
    torchvision, MMSegmentation and slim's own classifiers, which round to multiples of 8: 12
    instead of 16 channels for a width of 24 and a factor of 0.5.
    """
    return _make_divisible(width * widen_factor, 1)


def mobilenet_v2_expanded_width(channels: int, expansion: int) -> int:
    """Channels of the depthwise convolution of a unit with ``channels`` input channels.

    Expanded widths are rounded to multiples of 8, whatever the widths around them.
    """
    return channels if expansion == 1 else _make_divisible(channels * expansion, 8)


def _make_divisible(value: float, divisor: int) -> int:
    """Round to a multiple of ``divisor`` that is at least ``divisor`` and 90 % of the value."""
    rounded = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded
