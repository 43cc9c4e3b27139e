"""The decoder of DeepLabv3+: refine the encoder's feature with features of the backbone."""

from __future__ import annotations

from typing import Sequence

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule, ModuleList
from mmseg.models.utils import resize
from torch import Tensor, nn

from mmseg_deeplab_ext.config_values import whole_numbers
from mmseg_deeplab_ext.decode_heads.aspp import RELU, conv3x3_module
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.specs.decoder import Decoder


class DecoderStage(BaseModule):
    """One refinement of a feature, resized to the tap's grid.

    Either it is concatenated with the projected tap, and two convolutions follow; or it goes
    through one convolution, and the projected tap is added.

    Args:
        in_channels: channels of the encoder feature.
        c1_in_channels: channels of the tapped backbone feature.
        c1_channels: channels it is projected to.
        spec: the decoder that it is a stage of.
        norm_cfg: MMCV norm config.
        act_cfg: MMCV activation config.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        c1_in_channels: int,
        c1_channels: int,
        spec: Decoder,
        norm_cfg: dict,
        act_cfg: dict = RELU,
    ) -> None:
        # Of the convolutions without batch norm, as slim has it.
        bare = {"type": "Xavier", "distribution": "uniform", "layer": "Conv2d"}
        super().__init__(bare if spec.is_logits else None)
        self.sum_merge = spec.sum_merge
        layers = dict(norm_cfg=norm_cfg, act_cfg=act_cfg)
        widths = spec.widths(in_channels, c1_channels)
        if spec.is_logits:
            self.projection = nn.Conv2d(c1_in_channels, c1_channels, 1)
            self.convs = ModuleList(
                nn.Conv2d(width, spec.channels, spec.kernel, padding=spec.kernel // 2)
                for width in widths
            )
        else:
            self.projection = ConvModule(c1_in_channels, c1_channels, 1, **layers)
            self.convs = ModuleList(
                conv3x3_module(width, spec.channels, separable=spec.separable, **layers)
                for width in widths
            )

    def forward(self, x: Tensor, tap: Tensor) -> Tensor:
        """Refine [N, in_channels, h, w] with [N, c1_in_channels, H, W] to [N, channels, H, W]."""
        x = resize(x, size=tap.shape[-2:], mode="bilinear", align_corners=True, warning=False)
        tap = self.projection(tap)
        if not self.sum_merge:
            # The encoder feature comes first: the order is part of the trained weights.
            x = torch.cat([x, tap], dim=1)
        for conv in self.convs:
            x = conv(x)
        return x + tap if self.sum_merge else x


def decoder_stages(
    c1_in_index: int | Sequence[int],
    c1_in_channels: int | Sequence[int],
    c1_channels: int | Sequence[int],
) -> list[tuple[int, int, int]]:
    """Tap index, tap channels and projected channels of every decoder stage, from the head's keys.

    Raises:
        ConfigError: if they contradict.
    """
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
