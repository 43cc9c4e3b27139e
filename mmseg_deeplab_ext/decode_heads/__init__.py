"""Decode heads on MMSegmentation's ``BaseDecodeHead``."""

from mmseg_deeplab_ext.decode_heads.deeplab_v3_plus_head import DeepLabV3PlusHead
from mmseg_deeplab_ext.decode_heads.fcn_skip_head import FCNSkipHead
from mmseg_deeplab_ext.decode_heads.torchvision_deeplab_v3_head import TorchvisionDeepLabV3Head
from mmseg_deeplab_ext.decode_heads.torchvision_lraspp_head import TorchvisionLRASPPHead
from mmseg_deeplab_ext.decode_heads.unet_head import UNetHead

__all__ = [
    "DeepLabV3PlusHead",
    "FCNSkipHead",
    "TorchvisionDeepLabV3Head",
    "TorchvisionLRASPPHead",
    "UNetHead",
]
