"""What MMSegmentation's segmentors lack: the official evaluation over scales and flips."""

from mmseg_deeplab_ext.segmentors.tta import DeepLabTTAModel

__all__ = ["DeepLabTTAModel"]
