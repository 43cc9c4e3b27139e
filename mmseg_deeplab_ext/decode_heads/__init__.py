"""Decode heads on MMSegmentation's ``BaseDecodeHead``."""

from mmseg_deeplab_ext.decode_heads.deeplab_v3_plus_head import DeepLabV3PlusHead

__all__ = ["DeepLabV3PlusHead"]
