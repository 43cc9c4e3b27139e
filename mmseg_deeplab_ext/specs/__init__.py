"""What each official network is, as plain data: importable without PyTorch.

``BACKBONES`` is the one list of families. A new one is a file here, a file in ``backbones`` that
builds it, and a line in this list.
"""

from mmseg_deeplab_ext.specs.mobilenet_edgetpu import MobileNetEdgeTPUSpec
from mmseg_deeplab_ext.specs.mobilenet_v2 import MobileNetV2Spec
from mmseg_deeplab_ext.specs.mobilenet_v3 import MobileNetV3Spec
from mmseg_deeplab_ext.specs.resnet_v1 import ResNetV1BetaSpec, ResNetV1Spec
from mmseg_deeplab_ext.specs.xception import XceptionSpec

BACKBONES = (
    ResNetV1BetaSpec,
    ResNetV1Spec,
    MobileNetV2Spec,
    MobileNetV3Spec,
    MobileNetEdgeTPUSpec,
    XceptionSpec,
)

__all__ = [
    "BACKBONES",
    "MobileNetEdgeTPUSpec",
    "MobileNetV2Spec",
    "MobileNetV3Spec",
    "ResNetV1BetaSpec",
    "ResNetV1Spec",
    "XceptionSpec",
]
