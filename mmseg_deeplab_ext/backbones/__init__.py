"""Backbones with four feature maps each: DeepLab's three decoder taps and the final map."""

import mmseg_deeplab_ext.conversion.addresses  # noqa: F401  registers tf:// with MMEngine
from mmseg_deeplab_ext.backbones.mobilenet_v2 import MobileNetV2
from mmseg_deeplab_ext.backbones.resnet_v1 import ResNetV1, ResNetV1Beta

__all__ = ["MobileNetV2", "ResNetV1", "ResNetV1Beta"]
