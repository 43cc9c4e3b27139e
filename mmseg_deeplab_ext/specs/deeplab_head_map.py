"""Names of the official ASPP, decoder and logits layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterator

from mmseg_deeplab_ext.specs.rule import Rule, conv_module_rules, separable_conv_rules

if TYPE_CHECKING:
    from mmseg_deeplab_ext.specs.networks import Head

LOGITS_SCOPE = "logits/semantic/"
"""Where TensorFlow keeps the weights of the last layer."""


def deeplab_head_rules(head: Head, *, prefix: str) -> Iterator[Rule]:
    """Pair the variables of ASPP, decoder and logits with the state dict of ``DeepLabV3PlusHead``.

    Args:
        head: its options; without ``num_classes`` the logits are left out.
        prefix: what stands before the head's names in the state dict.
    """
    yield from _aspp_rules(head, f"{prefix}aspp")
    channels = head.aspp_channels
    for stage in range(len(head.c1_in_channels)):
        yield from _stage_rules(head, stage, f"{prefix}decoder.{stage}", in_channels=channels)
        channels = head.channels
    if head.num_classes is not None:
        kernel = (1, 1, head.channels, head.num_classes)
        yield Rule(f"{LOGITS_SCOPE}weights", f"{prefix}conv_seg.weight", kernel, "conv")
        yield Rule(f"{LOGITS_SCOPE}biases", f"{prefix}conv_seg.bias", (head.num_classes,))


def _aspp_rules(head: Head, aspp: str) -> Iterator[Rule]:
    inputs, width = head.in_channels, head.aspp_channels
    pointwise, atrous = (1, 1, inputs, width), (3, 3, inputs, width)
    if head.image_pooling:
        yield from conv_module_rules("image_pooling", f"{aspp}.image_pooling.conv", shape=pointwise)
    yield from conv_module_rules("aspp0", f"{aspp}.branches.0", shape=pointwise)
    branch_rules = separable_conv_rules if head.aspp_separable else conv_module_rules
    for i in range(1, head.num_rates + 1):
        yield from branch_rules(f"aspp{i}", f"{aspp}.branches.{i}", shape=atrous)
    concatenated = width * (1 + head.num_rates + head.image_pooling)
    yield from conv_module_rules(
        "concat_projection", f"{aspp}.projection", shape=(1, 1, concatenated, width)
    )


def _stage_rules(head: Head, stage: int, target: str, *, in_channels: int) -> Iterator[Rule]:
    suffix = f"_{stage}" if stage else ""
    projected = head.c1_channels[stage]
    yield from conv_module_rules(
        f"decoder/feature_projection0{suffix}",
        f"{target}.projection",
        shape=(1, 1, head.c1_in_channels[stage], projected),
    )
    scope = f"decoder_conv0{suffix}"
    for i, inputs in enumerate((in_channels + projected, head.channels)):
        shape = (3, 3, inputs, head.channels)
        if head.decoder_separable:
            yield from separable_conv_rules(
                f"decoder/decoder_conv{i}{suffix}", f"{target}.convs.{i}", shape=shape
            )
        else:
            yield from conv_module_rules(
                f"decoder/{scope}/{scope}_{i + 1}", f"{target}.convs.{i}", shape=shape
            )
