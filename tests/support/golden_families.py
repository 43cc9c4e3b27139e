"""What the golden files' options say of a backbone: which of ours it is, and its inner outputs."""

import numpy as np
import torch
from mmcv.cnn import ConvModule

import mmseg_deeplab_ext
from mmseg_deeplab_ext.specs import BACKBONES, MobileNetV2Spec, ResNetV1Spec, XceptionSpec


def spec_of(options):
    """Our backbone for the options of a golden file."""
    variant = options["model_variant"]
    alike = [s for family in BACKBONES for s in family.published() if s.model_variant == variant]
    if isinstance(alike[0], MobileNetV2Spec):
        return MobileNetV2Spec(options.get("depth_multiplier", 1.0))
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


def _input(args, out):
    return args[0]


def _output(args, out):
    return out


def _first_output(args, out):
    return out[0]


def _activated(args, out):
    return torch.relu(out)


def _of_a_resnet(backbone):
    spec = backbone.spec
    yield backbone.stem, f"ep/{spec.scope}/conv1_3", _output
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
        yield conv, f"ep/{scope}/entry_flow/conv1_{number}", _output
    for name, specs in zip(backbone.layer_names, backbone.spec.blocks):
        for unit, spec in zip(getattr(backbone, name), specs):
            yield unit, f"ep/{scope}/{spec.name}", _first_output
            yield from _inside(unit, f"t/{scope}/{spec.name}")


def _inside(unit, scope):
    for number, conv in enumerate(unit.convs, start=1):
        half = f"{scope}/separable_conv{number}"
        atrous = "/BatchToSpaceND" * (conv.depthwise_conv.dilation != (1, 1))
        yield from _of_a_conv(conv.depthwise_conv, f"{half}_depthwise", f"depthwise{atrous}")
        yield from _of_a_conv(conv.pointwise_conv, f"{half}_pointwise", "Conv2D")
        yield conv, f"{scope}/Relu{f'_{number - 1}' * (number > 1)}", _input
    if isinstance(unit.shortcut, ConvModule):
        yield from _of_a_conv(unit.shortcut, f"{scope}/shortcut", "Conv2D")


def _of_a_conv(module, scope, kernel):
    yield module.conv, f"{scope}/{kernel}", _output
    yield module.bn, f"{scope}/BatchNorm/FusedBatchNormV3", _output
    if module.with_activation:
        yield module, f"{scope}/Relu", _output


_INNER_OUTPUTS = {ResNetV1Spec: _of_a_resnet, XceptionSpec: _of_an_xception}
