"""Decode heads on MMSegmentation's ``BaseDecodeHead``."""

import mmseg_deeplab_ext.conversion.addresses  # noqa: F401  registers tf:// with MMEngine
from mmseg_deeplab_ext.decode_heads.deeplab_v3_plus_head import DeepLabV3PlusHead

__all__ = ["DeepLabV3PlusHead"]
