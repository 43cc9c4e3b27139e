"""Names of ``resnet_v1_{18,50,101}`` and their ``_beta`` variants."""

from __future__ import annotations

from typing import Iterator

from mmseg_deeplab_ext.arch import PLAIN_STEM_WIDTH, RESNET_V1
from mmseg_deeplab_ext.checkpoints.name_map import Rule, conv_batch_norm_rules, conv_module_rules


def resnet_v1_rules(depth: int, *, beta: bool, prefix: str = "backbone.") -> Iterator[Rule]:
    """Pair the variables of a ResNet v1 with the state dict of ``ResNetV1`` / ``ResNetV1Beta``.

    Both variants use the scope ``resnet_v1_<depth>``; only the stem tells them apart.

    Args:
        depth: 18, 50 or 101.
        beta: three stem convolutions instead of one.
        prefix: what stands before the backbone's names in the state dict.
    """
    arch = RESNET_V1[depth]
    scope = f"resnet_v1_{depth}"
    stem = ["conv1_1", "conv1_2", "conv1_3"] if beta else ["conv1"]
    for i, name in enumerate(stem):
        yield from conv_module_rules(f"{scope}/{name}", f"{prefix}stem.{i}")
    kind = "bottleneck_v1" if arch.bottleneck else "lite_bottleneck_v1"
    channels = arch.beta_stem[-1] if beta else PLAIN_STEM_WIDTH
    for b, block in enumerate(arch.blocks, start=1):
        for u in range(block.units):
            tf_unit = f"{scope}/block{b}/unit_{u + 1}/{kind}"
            unit = f"{prefix}layer{b}.{u}"
            if channels != block.width * arch.expansion:
                channels = block.width * arch.expansion
                yield from conv_batch_norm_rules(
                    f"{tf_unit}/shortcut", f"{unit}.downsample.0", f"{unit}.downsample.1"
                )
            for c in range(1, arch.num_convs + 1):
                yield from conv_batch_norm_rules(
                    f"{tf_unit}/conv{c}", f"{unit}.conv{c}", f"{unit}.bn{c}"
                )
