"""Names of the official ASPP, decoder and logits layer."""

from __future__ import annotations

from typing import Iterator

from mmseg_deeplab_ext.checkpoints.name_map import Rule, conv_module_rules, separable_conv_rules


def deeplab_head_rules(
    *,
    num_rates: int,
    aspp_separable: bool = True,
    image_pooling: bool = True,
    num_decoder_stages: int = 1,
    decoder_separable: bool = True,
    prefix: str = "decode_head.",
) -> Iterator[Rule]:
    """Pair the variables of ASPP, decoder and logits with the state dict of ``DeepLabV3PlusHead``.

    Args:
        num_rates: number of atrous branches (the 1x1 branch not counted).
        aspp_separable: depthwise separable atrous branches.
        image_pooling: whether there is an image pooling branch.
        num_decoder_stages: 0 for DeepLabv3.
        decoder_separable: depthwise separable decoder convolutions.
        prefix: what stands before the head's names in the state dict.
    """
    aspp = f"{prefix}aspp"
    if image_pooling:
        yield from conv_module_rules("image_pooling", f"{aspp}.image_pooling.conv")
    yield from conv_module_rules("aspp0", f"{aspp}.branches.0")
    atrous = separable_conv_rules if aspp_separable else conv_module_rules
    for i in range(1, num_rates + 1):
        yield from atrous(f"aspp{i}", f"{aspp}.branches.{i}")
    yield from conv_module_rules("concat_projection", f"{aspp}.projection")
    for stage in range(num_decoder_stages):
        suffix = f"_{stage}" if stage else ""
        target = f"{prefix}decoder.{stage}"
        yield from conv_module_rules(f"decoder/feature_projection0{suffix}", f"{target}.projection")
        for i in range(2):
            if decoder_separable:
                yield from separable_conv_rules(
                    f"decoder/decoder_conv{i}{suffix}", f"{target}.convs.{i}"
                )
            else:
                scope = f"decoder_conv0{suffix}"
                yield from conv_module_rules(
                    f"decoder/{scope}/{scope}_{i + 1}", f"{target}.convs.{i}"
                )
    yield Rule("logits/semantic/weights", f"{prefix}conv_seg.weight", "conv")
    yield Rule("logits/semantic/biases", f"{prefix}conv_seg.bias")
