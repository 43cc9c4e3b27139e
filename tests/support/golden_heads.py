"""What is inside a head, by the names of the golden files' arrays."""

from tests.support.golden_families import of_a_conv


def inner_outputs(head):
    """Module, array, and how the array follows from the module's inputs and output."""
    pooling = head.aspp.image_pooling
    if pooling is not None:
        yield pooling.conv, "t/AvgPool2D/AvgPool", lambda args, out: args[0]
        yield from of_a_conv(pooling.conv, "t/image_pooling", "Conv2D")
        yield pooling, "t/ResizeBilinear", lambda args, out: out
    yield from of_a_conv(head.aspp.branches[0], "t/aspp0", "Conv2D")
    yield from of_a_conv(head.aspp.projection, "t/concat_projection", "Conv2D")
    bias = head.conv_seg.bias.detach()[:, None, None]
    yield head.conv_seg, "t/logits/semantic/Conv2D", lambda args, out: out - bias
    for array in ("t/logits/semantic/BiasAdd", "t/ResizeBilinear_1"):
        yield head.conv_seg, array, lambda args, out: out
