"""What MMSegmentation's segmentors lack: the official merge of scales, windows at their price."""

from mmseg_deeplab_ext.segmentors.sliding import SlidingEncoderDecoder
from mmseg_deeplab_ext.segmentors.tta import DeepLabTTAModel

__all__ = ["DeepLabTTAModel", "SlidingEncoderDecoder"]
