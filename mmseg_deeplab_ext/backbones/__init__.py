"""Backbones: DeepLab's, with its decoder taps and the final feature map as outputs, and FCN's."""

from mmseg_deeplab_ext.backbones.atrous_backbone import AtrousBackbone
from mmseg_deeplab_ext.backbones.mobilenet_edgetpu import MobileNetEdgeTPU
from mmseg_deeplab_ext.backbones.mobilenet_v2 import MobileNetV2
from mmseg_deeplab_ext.backbones.mobilenet_v3 import MobileNetV3
from mmseg_deeplab_ext.backbones.resnet_v1 import ResNetV1, ResNetV1Beta
from mmseg_deeplab_ext.backbones.torchvision_mobilenet_v3 import TorchvisionMobileNetV3
from mmseg_deeplab_ext.backbones.vgg16 import VGG16
from mmseg_deeplab_ext.backbones.xception import Xception

__all__ = [
    "AtrousBackbone",
    "MobileNetEdgeTPU",
    "MobileNetV2",
    "MobileNetV3",
    "ResNetV1",
    "ResNetV1Beta",
    "TorchvisionMobileNetV3",
    "VGG16",
    "Xception",
]
