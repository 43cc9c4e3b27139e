"""What the golden files' options say of a backbone: which of ours it is, and its inner outputs."""

import numpy as np
import torch

import mmseg_deeplab_ext
from mmseg_deeplab_ext.specs import BACKBONES, MobileNetV2Spec


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
    """Module, end point, and how the end point follows from the module's output."""
    spec = backbone.spec
    if isinstance(spec, MobileNetV2Spec):
        return
    yield backbone.stem, f"{spec.scope}/conv1_3", lambda out: out
    for b, name in enumerate(backbone.layer_names, start=1):
        units = getattr(backbone, name)
        yield units[-1], f"{spec.scope}/block{b}", lambda out: out[0]
        for u, unit in enumerate(units, start=1):
            yield unit.bn1, f"{spec.scope}/block{b}/unit_{u}/{spec.unit_name}/conv1", torch.relu
