"""What is inside a head, by the names of the golden files' arrays."""

from mmseg_deeplab_ext.decode_heads.aspp import ASPP
from tests.support.golden_families import (
    biased_conv,
    first_input,
    of_a_conv,
    output,
    quantised_gate,
)


def inner_outputs(head):
    """Module, array, and how the array follows from the module's inputs and output."""
    aspp = head.context
    if not isinstance(aspp, ASPP):
        return
    if aspp.image_pooling is not None:
        yield from _of_image_pooling(aspp.image_pooling)
    yield from of_a_conv(aspp.branches[0], "t/aspp0", "Conv2D")
    if aspp.projection is not None:
        yield from of_a_conv(aspp.projection, "t/concat_projection", "Conv2D")
    if aspp.gated:
        yield aspp, "t/mul_1", output
    if head.conv_seg is not None:
        yield from biased_conv(head.conv_seg, "t/logits/semantic")
    else:
        for stage in head.decoder:
            yield from _of_a_decoder_of_logits(stage)
    yield head, "t/ResizeBilinear_1", output


def _of_image_pooling(pooling):
    yield pooling.conv, "t/AvgPool2D/AvgPool", first_input
    yield pooling, "t/ResizeBilinear", output
    if not pooling.gate:
        yield from of_a_conv(pooling.conv, "t/image_pooling", "Conv2D")
        return
    yield from biased_conv(pooling.conv.conv, "t/image_pooling")
    yield from quantised_gate(pooling.conv, "t/image_pooling")


def _of_a_decoder_of_logits(stage):
    (conv,) = stage.convs
    yield conv, "t/decoder/ResizeBilinear", first_input
    yield from biased_conv(conv, "t/decoder/decoder_conv0")
    yield from biased_conv(stage.projection, "t/decoder/feature_projection0")
    yield stage.projection, "t/decoder/ResizeBilinear_1", output
    yield stage, "t/decoder/add", output
