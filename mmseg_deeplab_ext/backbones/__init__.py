"""Backbones with four feature maps each: DeepLab's three decoder taps and the final map."""

from mmseg_deeplab_ext.backbones.resnet_v1 import ResNetV1, ResNetV1Beta

__all__ = ["ResNetV1", "ResNetV1Beta"]
