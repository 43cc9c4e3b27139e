"""TensorFlow DeepLab's head: ASPP and decoder (DeepLabv3+), or ASPP alone (DeepLabv3)."""

from __future__ import annotations

from typing import Sequence

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule, ModuleList
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import resize
from torch import Tensor

from mmseg_deeplab_ext.checkpoints.fit import take_tensorflow_weights
from mmseg_deeplab_ext.checkpoints.networks import Head
from mmseg_deeplab_ext.config_values import whole_numbers
from mmseg_deeplab_ext.decode_heads.aspp import ASPP, conv3x3_module, image_pooling_args
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.layers import FUSED_BATCH_NORM_EPS, tf_norm_cfg
from mmseg_deeplab_ext.registry import MODELS


class DecoderStage(BaseModule):
    """One refinement: resize to the tap, concatenate the projected tap, two 3x3 convolutions.

    Args:
        in_channels: channels of the encoder feature.
        c1_in_channels: channels of the tapped backbone feature.
        c1_channels: channels it is projected to.
        channels: output channels.
        separable: depthwise separable 3x3 convolutions.
        norm_cfg: MMCV norm config.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        c1_in_channels: int,
        c1_channels: int,
        channels: int,
        separable: bool,
        norm_cfg: dict,
    ) -> None:
        super().__init__()
        self.projection = ConvModule(c1_in_channels, c1_channels, 1, norm_cfg=norm_cfg)
        self.convs = ModuleList(
            conv3x3_module(width, channels, separable=separable, norm_cfg=norm_cfg)
            for width in (in_channels + c1_channels, channels)
        )

    def forward(self, x: Tensor, tap: Tensor) -> Tensor:
        """Refine [N, in_channels, h, w] with [N, c1_in_channels, H, W] to [N, channels, H, W]."""
        x = resize(x, size=tap.shape[-2:], mode="bilinear", align_corners=True, warning=False)
        # The encoder feature comes first: the order is part of the trained weights.
        x = torch.cat([x, self.projection(tap)], dim=1)
        for conv in self.convs:
            x = conv(x)
        return x


@MODELS.register_module()
class DeepLabV3PlusHead(BaseDecodeHead):
    """DeepLabv3+ (with ``c1_in_channels``) or DeepLabv3 (without), as in the official code.

    A :class:`BaseDecodeHead`: losses, samplers, sliding windows and test-time augmentation of
    MMSegmentation apply. What its ``DepthwiseSeparableASPPHead`` does differently: whole channels
    are dropped before the logits instead of single elements after the ASPP projection, bilinear
    resizing has no aligned corners, batch norms have PyTorch's constants, ASPP and decoder have
    one width, and the decoder has one stage.

    Args:
        in_channels: channels of the final backbone feature (``in_index``).
        channels: channels that the logits are computed from (decoder width; ASPP width where
            there is no decoder).
        num_classes: number of classes.
        dilations: ASPP branches: 1 for the 1x1 branch, then the atrous rates, (1, 6, 12, 18) at
            output stride 16 and (1, 12, 24, 36) at 8. (1,) leaves the atrous branches out.
        aspp_channels: channels of the ASPP; ``channels`` by default.
        aspp_separable: depthwise separable atrous branches, else dense 3x3.
        image_pooling: True pools over the whole feature map; False leaves the branch out;
            ``dict(crop_size=(h, w), output_stride=16, stride=(1, 1))`` pools over windows of that
            many pixels.
        c1_in_channels: channels of the tapped feature, one value or one per decoder stage; 0
            builds no decoder (DeepLabv3).
        c1_channels: channels the tap is projected to, one value or one per stage.
        c1_in_index: index of the tap among the backbone's outputs, one value or one per stage,
            coarse to fine: 0, 1, 2 for strides 4, 8, 16. ``(1, 0)`` is TensorFlow's
            ``decoder_output_stride=8,4``.
        decoder_separable: depthwise separable decoder convolutions, else dense 3x3.
        in_index: index of the final feature among the backbone's outputs.
        dropout_ratio: elementwise dropout after the ASPP projection (``keep_prob`` 0.9).
        norm_cfg: MMCV norm config. Batch norms take TensorFlow's momentum (0.0003, ``decay``
            0.9997) and epsilon (1.001e-5) unless stated. With so small a momentum the moving
            statistics need some 10,000 iterations: raise it for short schedules.
        align_corners: of the resize of the logits; True in TensorFlow.
        loss_decode: loss config; by default cross entropy averaged over the pixels that are not
            ignored, as in TensorFlow (MMSegmentation's default counts ignored pixels too).
        kwargs: further arguments of :class:`BaseDecodeHead`, but ``act_cfg``, ``conv_cfg`` and
            ``input_transform``.

    Raises:
        ConfigError: on an argument outside these values.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        num_classes: int,
        dilations: Sequence[int] = (1, 6, 12, 18),
        aspp_channels: int | None = None,
        aspp_separable: bool = True,
        image_pooling: bool | dict = True,
        c1_in_channels: int | Sequence[int] = 0,
        c1_channels: int | Sequence[int] = 48,
        c1_in_index: int | Sequence[int] = 0,
        decoder_separable: bool = True,
        in_index: int = 3,
        dropout_ratio: float = 0.1,
        norm_cfg: dict | None = None,
        align_corners: bool = True,
        loss_decode: dict | list[dict] | None = None,
        **kwargs,
    ) -> None:
        fixed = sorted({"act_cfg", "conv_cfg", "input_transform"} & set(kwargs))
        if fixed:
            raise ConfigError(
                f"DeepLabV3PlusHead takes no {', '.join(fixed)}: its activations, convolutions and "
                "inputs are TensorFlow's; leave the key out"
            )
        norm_cfg = tf_norm_cfg(norm_cfg, decay=0.9997, eps=FUSED_BATCH_NORM_EPS)
        stages = _decoder_stages(c1_in_index, c1_in_channels, c1_channels)
        aspp_channels = aspp_channels or channels
        if not stages and aspp_channels != channels:
            raise ConfigError(
                f"aspp_channels={aspp_channels} and channels={channels} must be equal in a head "
                "without decoder (c1_in_channels=0)"
            )
        super().__init__(
            in_channels,
            channels,
            num_classes=num_classes,
            dropout_ratio=0,  # BaseDecodeHead's dropout sits before the logits
            norm_cfg=norm_cfg,
            in_index=in_index,
            align_corners=align_corners,
            loss_decode=loss_decode or {"type": "CrossEntropyLoss", "avg_non_ignore": True},
            **kwargs,
        )
        self.dropout_ratio = dropout_ratio
        self.aspp = ASPP(
            in_channels,
            aspp_channels,
            dilations=dilations,
            separable=aspp_separable,
            image_pooling=image_pooling_args(image_pooling),
            dropout_ratio=dropout_ratio,
            norm_cfg=norm_cfg,
        )
        self.c1_in_index = [index for index, _, _ in stages]
        self.decoder = ModuleList(
            DecoderStage(
                channels if number else aspp_channels,
                c1_in_channels=in_width,
                c1_channels=out_width,
                channels=channels,
                separable=decoder_separable,
                norm_cfg=norm_cfg,
            )
            for number, (_, in_width, out_width) in enumerate(stages)
        )
        tf_weights = Head(
            in_channels=in_channels,
            channels=channels,
            num_classes=self.out_channels,
            num_rates=len(dilations) - 1,
            aspp_channels=aspp_channels,
            aspp_separable=aspp_separable or len(dilations) == 1,
            image_pooling=bool(image_pooling),
            c1_in_channels=tuple(width for _, width, _ in stages),
            c1_channels=tuple(width for _, _, width in stages),
            decoder_separable=decoder_separable or not stages,
        )
        take_tensorflow_weights(self, tf_weights)

    def forward(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """Compute the logits.

        Args:
            inputs: the backbone's feature maps.

        Returns:
            [N, num_classes, h, w] at the last tap's size (the final feature's without decoder).

        Raises:
            ConfigError: if the backbone has no such feature map, or one of another width.
        """
        x = self.aspp(_pick(inputs, "in_index", self.in_index, channels=self.in_channels))
        for index, stage in zip(self.c1_in_index, self.decoder):
            width = stage.projection.in_channels
            x = stage(x, _pick(inputs, "c1_in_index", index, channels=width))
        return self.cls_seg(x)


def _pick(inputs: tuple[Tensor, ...], key: str, index: int, *, channels: int) -> Tensor:
    """One of the backbone's feature maps, if it is there and has the configured channels."""
    if not -len(inputs) <= index < len(inputs):
        raise ConfigError(
            f"{key}={index}, but the backbone returns {len(inputs)} feature maps (its out_indices)"
        )
    if inputs[index].shape[1] != channels:
        raise ConfigError(
            f"{key.replace('index', 'channels')}={channels}, but the backbone's map {index} "
            f"has {inputs[index].shape[1]} channels"
        )
    return inputs[index]


def _decoder_stages(
    c1_in_index: int | Sequence[int],
    c1_in_channels: int | Sequence[int],
    c1_channels: int | Sequence[int],
) -> list[tuple[int, int, int]]:
    """Tap index, tap channels and projected channels of every decoder stage."""
    if c1_in_channels == 0:
        return []
    values = {
        "c1_in_index": c1_in_index,
        "c1_in_channels": c1_in_channels,
        "c1_channels": c1_channels,
    }
    count = max(len(v) if isinstance(v, (list, tuple)) else 1 for v in values.values())
    lists = {}
    for key, value in values.items():
        listed = value if isinstance(value, (list, tuple)) else [value] * count
        lists[key] = list(whole_numbers(key, listed, minimum=0 if key == "c1_in_index" else 1))
    if any(len(numbers) != count for numbers in lists.values()):
        raise ConfigError(f"{values} must be single values or lists of the same length")
    indices = lists["c1_in_index"]
    if indices != sorted(set(indices), reverse=True):
        raise ConfigError(
            f"c1_in_index={c1_in_index} must name different feature maps from coarse to fine; of "
            "our backbones 2 (stride 16), 1 (stride 8), 0 (stride 4)"
        )
    return list(zip(*lists.values()))
