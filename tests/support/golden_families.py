"""What the golden files' options say of a backbone: which of ours it is, and its inner outputs."""

from dataclasses import replace

import numpy as np
import torch
from mmcv.cnn import ConvModule

import mmseg_deeplab_ext
from mmseg_deeplab_ext.layers.hard_swish import HardSwish
from mmseg_deeplab_ext.layers.inverted_residual import LastConv
from mmseg_deeplab_ext.layers.quantised_sigmoid import quantised_sigmoid
from mmseg_deeplab_ext.specs import BACKBONES, ResNetV1Spec, XceptionSpec
from mmseg_deeplab_ext.specs.mobilenet import MobileNetSpec


def spec_of(options):
    """Our backbone for the options of a golden file."""
    variant = options["model_variant"]
    alike = [s for family in BACKBONES for s in family.published() if s.model_variant == variant]
    if isinstance(alike[0], MobileNetSpec):
        return replace(alike[0], widen_factor=options.get("depth_multiplier", 1.0))
    (spec,) = alike
    return spec


def to_unit_range(image):
    """From 0..255 to -1..1, as TensorFlow does it in float32."""
    return image * np.float32(2 / 255) - np.float32(1)


def normalised(image, spec):
    """What the network sees of an image, in float32."""
    subtracts_mean = spec.input.std == (1.0,) * 3
    return image - np.float32(spec.input.mean) if subtracts_mean else to_unit_range(image)


def build(spec, options):
    """The backbone as the options of a golden file ask for it."""
    multi_grid = {"multi_grid": options.get("multi_grid")} if spec.multi_grid_length else {}
    return getattr(mmseg_deeplab_ext, spec.module)(
        **spec.options(), output_stride=options["output_stride"] or 32, **multi_grid
    )


def inner_outputs(backbone):
    """Module, array, and how the array follows from the module's inputs and output."""
    for family, inner in _INNER_OUTPUTS.items():
        if isinstance(backbone.spec, family):
            yield from inner(backbone)


def first_input(args, out):
    """What enters the module."""
    return args[0]


def output(args, out):
    """The output as it is."""
    return out


def _first_output(args, out):
    return out[0]


def _activated(args, out):
    return torch.relu(out)


def _of_a_resnet(backbone):
    spec = backbone.spec
    yield backbone.stem, f"ep/{spec.scope}/conv1_3", output
    for b, name in enumerate(backbone.layer_names, start=1):
        units = getattr(backbone, name)
        block = f"ep/{spec.scope}/block{b}"
        yield units[-1], block, _first_output
        for u, unit in enumerate(units, start=1):
            yield unit.bn1, f"{block}/unit_{u}/{spec.unit_name}/conv1", _activated


def _of_an_xception(backbone):
    """Every stem convolution and unit, and every tensor inside the units."""
    scope = backbone.spec.scope
    for number, conv in enumerate(backbone.stem, start=1):
        yield conv, f"ep/{scope}/entry_flow/conv1_{number}", output
    for name, specs in zip(backbone.layer_names, backbone.spec.blocks):
        for unit, spec in zip(getattr(backbone, name), specs):
            yield unit, f"ep/{scope}/{spec.name}", _first_output
            yield from _inside(unit, f"t/{scope}/{spec.name}")


def _inside(unit, scope):
    for number, conv in enumerate(unit.convs, start=1):
        half = f"{scope}/separable_conv{number}"
        atrous = "/BatchToSpaceND" * (conv.depthwise_conv.dilation != (1, 1))
        yield from of_a_conv(conv.depthwise_conv, f"{half}_depthwise", f"depthwise{atrous}")
        yield from of_a_conv(conv.pointwise_conv, f"{half}_pointwise", "Conv2D")
        yield conv, f"{scope}/Relu{f'_{number - 1}' * (number > 1)}", first_input
    if isinstance(unit.shortcut, ConvModule):
        yield from of_a_conv(unit.shortcut, f"{scope}/shortcut", "Conv2D")


def of_a_conv(module, scope, kernel):
    """The tensors of a convolution with batch norm, whose own is called ``kernel``."""
    yield module.conv, f"{scope}/{kernel}", output
    yield module.bn, f"{scope}/BatchNorm/FusedBatchNormV3", output
    if module.with_activation:
        swish = isinstance(module.activate, HardSwish)
        yield module, f"{scope}/{'hard_swish/mul_1' if swish else 'Relu'}", output


def _of_a_mobilenet(backbone):
    """Every layer, and every tensor inside the units."""
    scope = f"t/{backbone.spec.scope}"
    yield backbone.stem, "ep/layer_1", output
    yield from of_a_conv(backbone.stem[0], f"{scope}/Conv", "Conv2D")
    units = [
        pair
        for name, specs in zip(backbone.layer_names, backbone.spec.blocks)
        for pair in zip(getattr(backbone, name), specs)
    ]
    for number, (unit, spec) in enumerate(units, start=2):
        yield unit, f"ep/layer_{number}", _first_output
        if isinstance(unit, LastConv):
            yield unit.conv, f"{scope}/{spec.name}/Conv2D", output
            yield unit.bn, f"{scope}/{spec.name}/BatchNorm/FusedBatchNormV3", output
        else:
            yield from _inside_a_mobile_unit(unit, f"{scope}/{spec.name}")


def _inside_a_mobile_unit(unit, scope):
    if unit.expand is not None:
        yield from of_a_conv(unit.expand, f"{scope}/expand", "Conv2D")
    if unit.depthwise is not None:
        atrous = "/BatchToSpaceND" * (unit.depthwise.conv.dilation != (1, 1))
        yield from of_a_conv(unit.depthwise, f"{scope}/depthwise", f"depthwise{atrous}")
    if unit.squeeze_excite is not None:
        yield from _of_a_squeeze_excite(unit.squeeze_excite, f"{scope}/squeeze_excite")
    yield from of_a_conv(unit.project, f"{scope}/project", "Conv2D")
    if unit.adds_input:
        yield unit, f"{scope}/add", _first_output


def _of_a_squeeze_excite(module, scope):
    yield module.conv1, f"{scope}/Mean", first_input
    yield from biased_conv(module.conv1.conv, f"{scope}/Conv")
    yield module.conv1, f"{scope}/Conv/Relu", output
    yield from biased_conv(module.conv2.conv, f"{scope}/Conv_1")
    yield from quantised_gate(module.conv2, f"{scope}/Conv_1")
    yield module, f"{scope}/mul", output


def biased_conv(conv, scope):
    """The tensors of a convolution with bias."""
    bias = conv.bias.detach()[:, None, None]
    yield conv, f"{scope}/Conv2D", lambda args, out: out - bias
    yield conv, f"{scope}/BiasAdd", output


def quantised_gate(module, scope):
    """What becomes of the output of a module that a quantised sigmoid follows."""
    yield module, f"{scope}/Relu6", lambda args, out: torch.nn.functional.relu6(out + 3)
    yield module, f"{scope}/mul", lambda args, out: quantised_sigmoid(out)


_INNER_OUTPUTS = {
    ResNetV1Spec: _of_a_resnet,
    XceptionSpec: _of_an_xception,
    MobileNetSpec: _of_a_mobilenet,
}
