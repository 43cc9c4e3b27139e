"""What differs between the backbone families when their golden files are reproduced.

A family gives for the options of a golden file: the backbone, its widths, what its input is
normalised with, and which of its modules give which arrays.
"""

import re

import numpy as np
import torch

from mmseg_deeplab_ext.arch import RESNET_V1
from mmseg_deeplab_ext.backbones import MobileNetV2, ResNetV1, ResNetV1Beta

MEAN_RGB = np.array([123.15, 115.90, 103.06], np.float32)
GREY = np.full(3, 127.5, np.float32)


def to_unit_range(image):
    return image * np.float32(2 / 255) - np.float32(1)


class ResNetFamily:
    def __init__(self, options):
        match = re.fullmatch(r"resnet_v1_(\d+)(_beta)?", options["model_variant"])
        self.depth, self.beta = int(match.group(1)), match.group(2) is not None
        self.options = options
        self.scope = f"resnet_v1_{self.depth}"
        arch = RESNET_V1[self.depth]
        self.widths = [block.width * arch.expansion for block in arch.blocks]
        self.padding = GREY if self.beta or self.depth == 18 else MEAN_RGB

    def normalise(self, image):
        return to_unit_range(image) if self.beta else image - MEAN_RGB

    def backbone(self):
        return (ResNetV1Beta if self.beta else ResNetV1)(
            self.depth,
            output_stride=self.options["output_stride"] or 32,
            multi_grid=self.options.get("multi_grid"),
        )

    def taps(self):
        arch = RESNET_V1[self.depth]
        kind = "bottleneck_v1" if arch.bottleneck else "lite_bottleneck_v1"
        return [
            f"{self.scope}/block{b}/unit_{unit + 1}/{kind}/conv{arch.num_convs}"
            for b, unit in enumerate(arch.tap_units, start=1)
        ]

    def inner_outputs(self, backbone):
        """Module, end point, and how the end point follows from the module's output."""
        kind = "bottleneck_v1" if self.depth > 18 else "lite_bottleneck_v1"
        yield backbone.stem, f"{self.scope}/conv1_3", lambda out: out
        for b, name in enumerate(backbone.layer_names, start=1):
            units = getattr(backbone, name)
            yield units[-1], f"{self.scope}/block{b}", lambda out: out[0]
            for u, unit in enumerate(units, start=1):
                yield unit.bn1, f"{self.scope}/block{b}/unit_{u}/{kind}/conv1", torch.relu


class MobileNetFamily:
    scope = "MobilenetV2"
    padding = GREY
    normalise = staticmethod(to_unit_range)

    def __init__(self, options):
        self.options = options
        self.factor = options.get("depth_multiplier", 1.0)
        self.widths = {1.0: [144, 192, 576, 320], 0.5: [72, 96, 288, 160]}[self.factor]

    def backbone(self):
        return MobileNetV2(self.factor, output_stride=self.options["output_stride"])

    def taps(self):
        return [f"layer_{number}/depthwise_output" for number in (4, 7, 14)]

    def inner_outputs(self, backbone):
        return []


def family(options):
    kind = MobileNetFamily if options["model_variant"] == "mobilenet_v2" else ResNetFamily
    return kind(options)
