"""What a head knows of the whole image: pooled windows of the feature map."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from mmseg.models.utils import resize
from torch import Tensor, nn
from torch.nn import functional as F

from mmseg_deeplab_ext.config_values import whole_numbers
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.layers.quantised_sigmoid import quantised_sigmoid
from mmseg_deeplab_ext.layers.scale_dimension import scale_dimension, scale_size
from mmseg_deeplab_ext.specs.head_parts import GATES

_GATES = dict(zip(GATES, (torch.sigmoid, quantised_sigmoid)))


@dataclass(frozen=True)
class Windows:
    """Where means of a feature map are taken, as TensorFlow's ``avg_pool2d`` does: whole windows.

    Attributes:
        crop_size: height and width in pixels of the image; None for all of the feature map.
        output_stride: pixels per cell of the feature map.
        stride: of the windows, in cells.
        grid_size: how often a window fits into the crop.
    """

    crop_size: tuple[int, int] | None = None
    output_stride: int = 1
    stride: tuple[int, int] = (1, 1)
    grid_size: tuple[int, int] = (1, 1)

    def pooled(self, x: Tensor, *, image_scale: float) -> Tensor:
        """Pool [N, C, H, W] to [N, C, h, w].

        Args:
            x: the feature map.
            image_scale: of the image that it comes from. TensorFlow's ``multi_scale_logits``
                scales ``image_pooling_crop_size`` with the crop.

        Raises:
            ConfigError: the window is larger than the feature map.
        """
        if self.crop_size is None:
            return x.mean(dim=(2, 3), keepdim=True)
        size, crop = x.shape[-2:], scale_size(self.crop_size, image_scale)
        height, width = (
            scale_dimension(side, 1 / (self.output_stride * cells))
            for side, cells in zip(crop, self.grid_size)
        )
        if height > size[0] or width > size[1]:
            raise ConfigError(
                f"image_pooling asks for a window of {(height, width)} cells, but the feature map "
                f"has only {tuple(size)}: feed larger images (pad them to the crop), or use a "
                "smaller crop_size in image_pooling, or image_pooling=True for the whole map"
            )
        return F.avg_pool2d(x, (height, width), self.stride)


class ImagePooling(BaseModule):
    """Image-level feature: average pool, 1x1 convolution, activation, resize back.

    Args:
        in_channels: input channels.
        channels: output channels.
        gate: of ``GATES``, what turns the convolution's output, which has a bias and no batch norm,
            into factors (squeeze-and-excite); None for batch norm and ReLU.
        windows: what to pool.
        norm_cfg: MMCV norm config.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        gate: str | None = None,
        windows: Windows,
        norm_cfg: dict,
    ) -> None:
        super().__init__()
        self.windows = windows
        self.gate = gate and _GATES[gate]
        layers = dict(norm_cfg=norm_cfg) if gate is None else dict(act_cfg=None)
        self.conv = ConvModule(in_channels, channels, 1, **layers)

    def forward(self, x: Tensor, *, image_scale: float = 1.0) -> Tensor:
        """Pool [N, in_channels, H, W] and return it as [N, channels, H, W].

        Args:
            x: the feature map.
            image_scale: see :meth:`Windows.pooled`.

        Raises:
            ConfigError: if the window is larger than the feature map, or batch norm would have to
                be trained on one value per channel.
        """
        pooled = self.windows.pooled(x, image_scale=image_scale)
        _check_batch(pooled, self.conv)
        out = self.conv(pooled)
        return _resized(self.gate(out) if self.gate else out, x)


class PyramidPooling(ConvModule):
    """A branch of a dense prediction cell: :class:`ImagePooling` under a convolution's names.

    The variables of a file don't tell which of the two a branch is.

    Args:
        in_channels: input channels.
        channels: output channels.
        windows: what to pool.
        norm_cfg: MMCV norm config.
    """

    def __init__(
        self, in_channels: int, channels: int, *, windows: Windows, norm_cfg: dict
    ) -> None:
        super().__init__(in_channels, channels, 1, norm_cfg=norm_cfg)
        self.windows = windows

    def forward(self, x: Tensor, *, image_scale: float = 1.0) -> Tensor:
        """Pool [N, in_channels, H, W] and return it as [N, channels, H, W]."""
        pooled = self.windows.pooled(x, image_scale=image_scale)
        _check_batch(pooled, self)
        return _resized(super().forward(pooled), x)


def _resized(out: Tensor, like: Tensor) -> Tensor:
    size = like.shape[-2:]
    return resize(out, size=size, mode="bilinear", align_corners=True, warning=False)


def _check_batch(pooled: Tensor, module: nn.Module) -> None:
    """Demand more than one value per channel for a batch norm that trains."""
    if pooled[:, 0].numel() == 1 and any(map(_trains, module.modules())):
        raise ConfigError(
            "the image pooling's batch norm can't be trained on a batch of one image: raise "
            "train_dataloader.batch_size to at least 2, or leave the statistics alone with "
            "custom_hooks=[dict(type='mmseg_deeplab_ext.FreezeBatchNormHook')]"
        )


def _trains(module: nn.Module) -> bool:
    return isinstance(module, nn.BatchNorm2d) and module.training


def checked_windows(image_pooling: bool | dict) -> Windows | None:
    """What a head's ``image_pooling`` says; None where it leaves the branch out.

    Args:
        image_pooling: True pools over the whole map, False is for no branch. A dict
            ``dict(crop_size=(h, w), output_stride=16, stride=(1, 1))`` pools over windows of that
            many pixels, as TensorFlow's ``image_pooling_crop_size`` and ``image_pooling_stride``.

    Raises:
        ConfigError: on other keys or values.
    """
    if isinstance(image_pooling, bool):
        return Windows() if image_pooling else None
    if not isinstance(image_pooling, dict):
        raise ConfigError(
            f"image_pooling={image_pooling!r} must be True, False, or a dict with crop_size, "
            "output_stride and, if wanted, stride"
        )
    unknown = set(image_pooling) - {"crop_size", "output_stride", "stride"}
    missing = {"crop_size", "output_stride"} - set(image_pooling)
    if unknown or missing:
        raise ConfigError(
            f"image_pooling={dict(image_pooling)}: needs crop_size and output_stride, may have "
            f"stride; missing {sorted(missing)}, unknown {sorted(unknown)}"
        )
    crop = whole_numbers("image_pooling.crop_size", image_pooling["crop_size"], minimum=1, count=2)
    (output_stride,) = whole_numbers(
        "image_pooling.output_stride", [image_pooling["output_stride"]], minimum=1
    )
    stride = image_pooling.get("stride", (1, 1))
    stride = whole_numbers("image_pooling.stride", stride, minimum=1, count=2)
    return Windows(crop, output_stride, stride)
