"""Names of ``resnet_v1_{18,50,101}`` and their ``_beta`` variants."""

from __future__ import annotations

from typing import Iterator

from mmseg_deeplab_ext.arch import PLAIN_STEM_WIDTH, RESNET_V1, ResNetArch
from mmseg_deeplab_ext.specs.rule import Rule, conv_batch_norm_rules, conv_module_rules


def resnet_v1_rules(depth: int, *, beta: bool, prefix: str) -> Iterator[Rule]:
    """Pair the variables of a ResNet v1 with the state dict of ``ResNetV1`` / ``ResNetV1Beta``.

    Both variants use the scope ``resnet_v1_<depth>``; only the stem tells them apart.

    Args:
        depth: 18, 50 or 101.
        beta: three stem convolutions instead of one.
        prefix: what stands before the backbone's names in the state dict.
    """
    arch = RESNET_V1[depth]
    scope = f"resnet_v1_{depth}"
    stem = [("conv1_1", 3), ("conv1_2", 3), ("conv1_3", 3)] if beta else [("conv1", 7)]
    widths = arch.beta_stem if beta else (PLAIN_STEM_WIDTH,)
    channels = 3
    for i, ((name, kernel), width) in enumerate(zip(stem, widths)):
        shape = (kernel, kernel, channels, width)
        yield from conv_module_rules(f"{scope}/{name}", f"{prefix}stem.{i}", shape=shape)
        channels = width
    kind = "bottleneck_v1" if arch.bottleneck else "lite_bottleneck_v1"
    for b, block in enumerate(arch.blocks, start=1):
        for u in range(block.units):
            tf_unit = f"{scope}/block{b}/unit_{u + 1}/{kind}"
            unit = f"{prefix}layer{b}.{u}"
            yield from _unit_rules(tf_unit, unit, arch, width=block.width, in_channels=channels)
            channels = block.width * arch.expansion


def _unit_rules(
    tf_unit: str, unit: str, arch: ResNetArch, *, width: int, in_channels: int
) -> Iterator[Rule]:
    out_channels = width * arch.expansion
    if in_channels != out_channels:
        yield from conv_batch_norm_rules(
            f"{tf_unit}/shortcut",
            f"{unit}.downsample.0",
            f"{unit}.downsample.1",
            shape=(1, 1, in_channels, out_channels),
        )
    for c, kernel in enumerate(arch.kernel_sizes, start=1):
        outputs = out_channels if c == arch.num_convs else width
        yield from conv_batch_norm_rules(
            f"{tf_unit}/conv{c}",
            f"{unit}.conv{c}",
            f"{unit}.bn{c}",
            shape=(kernel, kernel, in_channels, outputs),
        )
        in_channels = outputs
