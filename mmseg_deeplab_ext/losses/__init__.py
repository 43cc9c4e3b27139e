"""Losses that MMSegmentation lacks."""

from mmseg_deeplab_ext.losses.cross_entropy import DeepLabCrossEntropyLoss

__all__ = ["DeepLabCrossEntropyLoss"]
