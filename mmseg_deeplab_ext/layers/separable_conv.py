"""Depthwise separable convolution with TensorFlow's initial weights."""

from __future__ import annotations

from mmcv.cnn import DepthwiseSeparableConvModule
from mmengine.model import trunc_normal_init


class SeparableConvModule(DepthwiseSeparableConvModule):
    """MMCV's module, started as ``core/utils.py`` ``split_separable_conv2d`` starts it.

    Both halves have their own batch norm and ReLU. The standard deviations of the truncated normal
    are the official ones (0.33 and 0.06); MMCV's own, which counts the kernel's outputs as if it
    were dense, would be 0.01 for 2048 channels.
    """

    def init_weights(self) -> None:
        """Draw the kernels anew; called by ``BaseModule.init_weights`` of the module around."""
        for module, std in ((self.depthwise_conv, 0.33), (self.pointwise_conv, 0.06)):
            # TensorFlow cuts at two standard deviations, PyTorch at the values given.
            trunc_normal_init(module.conv, std=std, a=-2 * std, b=2 * std)
