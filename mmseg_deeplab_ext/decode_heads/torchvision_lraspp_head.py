"""torchvision's LR-ASPP head."""

from __future__ import annotations

from mmcv.cnn import ConvModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import resize
from torch import Tensor, nn

from mmseg_deeplab_ext.registry import MODELS


@MODELS.register_module()
class TorchvisionLRASPPHead(BaseDecodeHead):
    """``LRASPPHead`` of ``torchvision.models.segmentation``: two maps, two sums of scores.

    MMSegmentation's ``LRASPPHead`` is another network: it pools windows of 49x49, and joins two
    finer maps by convolutions. This is the paper's (https://arxiv.org/abs/1905.02244, figure 10),
    with the mean over all of the map as gate.

    Args:
        in_channels: of the fine and of the coarse map.
        in_index: of the same among the backbone's outputs.
        kwargs: further arguments of :class:`BaseDecodeHead`, but ``input_transform``.
    """

    def __init__(
        self,
        in_channels: tuple[int, int] = (40, 960),
        *,
        in_index: tuple[int, int] = (0, 1),
        **kwargs,
    ) -> None:
        super().__init__(
            in_channels=in_channels,
            in_index=in_index,
            input_transform="multiple_select",
            **{"dropout_ratio": 0, **kwargs},
        )
        fine, coarse = in_channels
        self.conv = ConvModule(
            coarse, self.channels, 1, norm_cfg=self.norm_cfg, act_cfg=self.act_cfg
        )
        self.gate = nn.Conv2d(coarse, self.channels, 1, bias=False)
        self.fine_seg = nn.Conv2d(fine, self.out_channels, 1)

    def forward(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """From the backbone's maps to logits [N, num_classes, h, w] at the size of the fine one."""
        fine, coarse = self._transform_inputs(inputs)
        gate = self.gate(coarse.mean(dim=(2, 3), keepdim=True)).sigmoid()
        context = resize(
            self.conv(coarse) * gate,
            size=fine.shape[2:],
            mode="bilinear",
            align_corners=self.align_corners,
        )
        return self.cls_seg(context) + self.fine_seg(fine)
