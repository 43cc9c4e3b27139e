"""The squeeze-excite of TensorFlow's MobileNetV3."""

from __future__ import annotations

from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor

from mmseg_deeplab_ext.layers.quantised_sigmoid import quantised_sigmoid


class SqueezeExcite(BaseModule):
    """Multiply every channel by a gate that is computed from the mean of all channels.

    Both convolutions have a bias and no batch norm. The mean is over the whole map, so that a map
    computed at another output stride or from another part of an image has other gates.

    Args:
        channels: of the map.
        squeezed: channels between the two convolutions.
    """

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.conv1 = ConvModule(channels, squeezed, 1)
        self.conv2 = ConvModule(squeezed, channels, 1, act_cfg=None)

    def forward(self, x: Tensor) -> Tensor:
        """Map [N, channels, H, W] to the same shape."""
        mean = x.mean(dim=(2, 3), keepdim=True)
        return x * quantised_sigmoid(self.conv2(self.conv1(mean)))
