"""torchvision's DeepLabv3 head: ASPP, and one more 3x3 convolution before the logits."""

from __future__ import annotations

from typing import Sequence

from mmcv.cnn import ConvModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor

from mmseg_deeplab_ext.decode_heads.aspp import ASPP, checked_dilations
from mmseg_deeplab_ext.decode_heads.image_pooling import Windows
from mmseg_deeplab_ext.registry import MODELS
from mmseg_deeplab_ext.specs.head_parts import Aspp


@MODELS.register_module()
class TorchvisionDeepLabV3Head(BaseDecodeHead):
    """``DeepLabHead`` of ``torchvision.models.segmentation``.

    MMSegmentation's ``ASPPHead`` computes the logits from one 3x3 convolution over all branches;
    this head projects them by a 1x1 convolution first, as the paper does, and drops single elements
    after it. The concatenation is that of our :class:`ASPP`, image pooling first; torchvision's has
    it last.

    Args:
        dilations: of the ASPP's branches, the 1x1 branch first.
        dropout_ratio: elementwise dropout after the projection.
        kwargs: further arguments of :class:`BaseDecodeHead`: ``in_channels``, ``channels``, ...

    Raises:
        ConfigError: the dilations are no whole numbers that begin with 1.
    """

    def __init__(
        self,
        *,
        dilations: Sequence[int] = (1, 12, 24, 36),
        dropout_ratio: float = 0.5,
        **kwargs,
    ) -> None:
        super().__init__(dropout_ratio=0, **kwargs)  # BaseDecodeHead's sits before the logits
        dilations = checked_dilations(dilations)
        layers = {"norm_cfg": self.norm_cfg, "act_cfg": self.act_cfg}
        self.aspp = ASPP(
            Aspp(self.in_channels, self.channels, len(dilations) - 1, separable=False),
            dilations=dilations,
            windows=Windows(),
            dropout_ratio=dropout_ratio,
            **layers,
        )
        self.conv = ConvModule(self.channels, self.channels, 3, padding=1, **layers)

    def forward(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """From the backbone's maps to logits [N, num_classes, h, w] at the size of its last."""
        return self.cls_seg(self.conv(self.aspp(self._transform_inputs(inputs))))
