"""TensorFlow DeepLab's atrous spatial pyramid pooling."""

from __future__ import annotations

from typing import Sequence

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule, ModuleList
from torch import Tensor, nn

from mmseg_deeplab_ext.config_values import whole_numbers
from mmseg_deeplab_ext.decode_heads.image_pooling import ImagePooling, Windows
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.layers.separable_conv import SeparableConvModule
from mmseg_deeplab_ext.specs.head_parts import Aspp

RELU = {"type": "ReLU"}


def conv3x3_module(
    in_channels: int,
    out_channels: int,
    *,
    separable: bool,
    dilation: int = 1,
    norm_cfg: dict,
    act_cfg: dict,
) -> nn.Module:
    """A 3x3 convolution with batch norm and activation, dense or depthwise separable."""
    module = SeparableConvModule if separable else ConvModule
    return module(
        in_channels,
        out_channels,
        3,
        padding=dilation,
        dilation=dilation,
        norm_cfg=norm_cfg,
        act_cfg=act_cfg,
    )


class ASPP(BaseModule):
    """Parallel branches over one feature map, concatenated and projected.

    The order of the concatenation is part of the trained weights: image pooling first, then the
    branches of ``dilations``. An image pooling that is a squeeze-and-excite multiplies the result.

    Args:
        spec: channels and branches.
        dilations: one branch each. The first is 1, the 1x1 convolution (``aspp0``); the others
            are 3x3 convolutions with that dilation.
        windows: what the image pooling pools; None where there is none.
        dropout_ratio: elementwise dropout after the projection; none where there is no projection.
        norm_cfg: MMCV norm config.
        act_cfg: MMCV activation config, for all branches but the image pooling.
    """

    def __init__(
        self,
        spec: Aspp,
        *,
        dilations: Sequence[int],
        windows: Windows | None,
        dropout_ratio: float,
        norm_cfg: dict,
        act_cfg: dict = RELU,
    ) -> None:
        super().__init__()
        inputs, channels = spec.in_channels, spec.channels
        layers = dict(norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.image_pooling = None
        if spec.image_pooling:
            # Its ReLU is never bounded (model.py).
            self.image_pooling = ImagePooling(
                inputs, channels, gate=spec.squeeze_excite, windows=windows, norm_cfg=norm_cfg
            )
        self.gated = spec.squeeze_excite is not None
        self.branches = ModuleList([ConvModule(inputs, channels, 1, **layers)])
        for dilation in dilations[1:]:
            self.branches.append(
                conv3x3_module(
                    inputs, channels, separable=spec.separable, dilation=dilation, **layers
                )
            )
        self.projection = None
        if spec.projection:
            self.projection = ConvModule(spec.concatenated, channels, 1, **layers)
            self.dropout = nn.Dropout(dropout_ratio)

    def forward(self, x: Tensor, *, image_scale: float = 1.0) -> Tensor:
        """Map [N, in_channels, H, W] to [N, out_channels, H, W].

        Args:
            x: the feature map.
            image_scale: see :meth:`ImagePooling.forward`.
        """
        features = [branch(x) for branch in self.branches]
        pooled = None
        if self.image_pooling is not None:
            pooled = self.image_pooling(x, image_scale=image_scale)
            features[:0] = [] if self.gated else [pooled]
        out = torch.cat(features, dim=1)
        if self.projection is not None:
            out = self.dropout(self.projection(out))
        return out * pooled if self.gated else out


def checked_dilations(dilations: Sequence[int]) -> tuple[int, ...]:
    """The dilations of the branches, the 1x1 branch first.

    Raises:
        ConfigError: they are no whole numbers that begin with 1.
    """
    checked = whole_numbers("dilations", dilations, minimum=1)
    if checked[0] != 1:
        raise ConfigError(
            f"dilations={checked} must start with 1, the 1x1 branch: for example "
            "(1, 6, 12, 18) at output stride 16, (1, 12, 24, 36) at 8"
        )
    return checked
