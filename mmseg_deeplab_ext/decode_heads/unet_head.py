"""The decoder of a U-Net, for any backbone."""

from __future__ import annotations

from typing import Any, Sequence

import torch
from mmcv.cnn import ConvModule
from mmengine.model import ModuleList, Sequential
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor

from mmseg_deeplab_ext.config_values import whole_numbers
from mmseg_deeplab_ext.decode_heads.feature_maps import pick
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.layers.bilinear_resize import resize_bilinear
from mmseg_deeplab_ext.registry import MODELS


@MODELS.register_module()
class UNetHead(BaseDecodeHead):
    """Blocks that upsample twofold, concatenate the backbone's map there, and convolve twice.

    The first block starts from the coarsest map. One block more than there are finer maps
    upsamples twofold once more, with nothing to concatenate: after maps at strides 2 to 32, five
    blocks lead to the image's size, four to half of it. What is missing, also the row or column
    that an odd size makes too many, is done by the resize of the logits that every head of
    MMSegmentation has.

    Args:
        in_channels: of the maps, from fine to coarse; each has twice the stride of the one before.
        decoder_channels: output channels of the blocks, from coarse to fine.
        num_classes: number of classes.
        in_index: which of the backbone's maps they are; its first ones by default. Of our
            backbones with ``stem_map=True`` the map at stride 2 is the last one: (4, 0, 1, 2, 3).
        norm_cfg: MMCV norm config; None for convolutions with a bias and without norm.
        align_corners: of every upsampling. True keeps sizes of the form k * stride + 1 in line, as
            TensorFlow's networks have them: twofold is then 2 * size - 1.
        kwargs: further arguments of :class:`BaseDecodeHead`, but ``channels`` and
            ``input_transform``.

    Raises:
        ConfigError: on an argument outside these values.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        *,
        num_classes: int,
        decoder_channels: Sequence[int] = (512, 256, 128, 64),
        in_index: Sequence[int] | None = None,
        norm_cfg: dict | None = None,
        align_corners: bool = False,
        **kwargs: Any,
    ) -> None:
        widths = whole_numbers("in_channels", in_channels, minimum=1)
        outputs = whole_numbers("decoder_channels", decoder_channels, minimum=1)
        if len(outputs) > len(widths):
            raise ConfigError(
                f"decoder_channels={outputs} are {len(outputs)} blocks, but {len(widths)} maps "
                f"(in_channels={widths}) take {len(widths)} at most"
            )
        super().__init__(
            widths,
            outputs[-1],
            num_classes=num_classes,
            in_index=tuple(in_index or range(len(widths))),
            input_transform="multiple_select",
            norm_cfg=norm_cfg,
            align_corners=align_corners,
            **kwargs,
        )
        skips = [*widths[-2::-1], 0]
        self.blocks = ModuleList(
            _two_convs(inputs + skip, width, norm_cfg=norm_cfg, act_cfg=self.act_cfg)
            for inputs, skip, width in zip((widths[-1], *outputs), skips, outputs)
        )

    def forward(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """Compute the logits.

        Args:
            inputs: the backbone's maps.

        Returns:
            [N, num_classes, h, w] at the last block's size.

        Raises:
            ConfigError: the backbone has no such map, or one of other channels.
        """
        maps = zip(self.in_index, self.in_channels)
        *skips, x = (pick(inputs, "in_index", index, channels=width) for index, width in maps)
        for number, block in enumerate(self.blocks, start=1):
            if number > len(skips):
                x = self._resized(x, [2 * side - int(self.align_corners) for side in x.shape[-2:]])
            else:
                skip = skips[-number]
                x = torch.cat([self._resized(x, skip.shape[-2:]), skip], dim=1)
            x = block(x)
        return self.cls_seg(x)

    def _resized(self, x: Tensor, size: Sequence[int]) -> Tensor:
        return resize_bilinear(x, size, align_corners=self.align_corners)


def _two_convs(inputs: int, outputs: int, **layers: Any) -> Sequential:
    return Sequential(
        ConvModule(inputs, outputs, 3, padding=1, **layers),
        ConvModule(outputs, outputs, 3, padding=1, **layers),
    )
