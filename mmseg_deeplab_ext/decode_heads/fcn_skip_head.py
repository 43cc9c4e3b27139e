"""The heads of FCN-32s, 16s and 8s: scores of finer maps added after twofold upsamplings."""

from __future__ import annotations

from typing import Any, Sequence

from mmengine.model import ModuleList
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor, nn

from mmseg_deeplab_ext.config_values import check_choice, is_number
from mmseg_deeplab_ext.decode_heads.feature_maps import pick
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.layers.bilinear_resize import resize_bilinear
from mmseg_deeplab_ext.layers.transposed_upsampling import TransposedUpsampling
from mmseg_deeplab_ext.registry import MODELS

_STRIDE = 32
"""Of the coarsest map."""
# With the paper's padding of 100 (99 more than the first convolution has anyway), the first cell of
# every pool begins 99 pixels before the image, and that of fc7, whose kernel of 7 is not padded,
# three cells of pool5 later.
_POOLS_BEGIN = -99
_FC7_BEGINS = _POOLS_BEGIN + 3 * _STRIDE
_IMAGE_CHANNELS = 3
_UPSAMPLINGS = ("interpolation", "frozen", "trained")


@MODELS.register_module()
class FCNSkipHead(BaseDecodeHead):
    """FCN-32s with one map, 16s with two, 8s with three.

    The coarsest map is scored by ``conv_seg``. Then, for each finer map, the scores are upsampled
    twofold, and the map's own scores added. What is missing to the image's size is left to the
    resize that every head of MMSegmentation has, at ``padding=100`` done here, followed by the
    paper's crops.

    All scores start at zero, as in the paper. An FCN-16s takes the weights of an FCN-32s through
    ``load_from``, and an FCN-8s those of an FCN-16s: their scores then begin as those of the
    coarser network, upsampled twofold.

    Args:
        in_channels: of the maps, from fine to coarse; each has twice the stride of the one before,
            the last one stride 32.
        num_classes: number of classes.
        in_index: which of the backbone's maps they are; its first ones by default.
        padding: the backbone's (:class:`~mmseg_deeplab_ext.VGG16`), if it is 100.
        upsampling: "interpolation"; "frozen", transposed convolutions with bilinear weights, as in
            the authors' published code; or "trained", as in their first paper: they start bilinear
            and learn, but the last one, to the image's size, never does.
        skip_scales: what the finer maps are multiplied by before they are scored, from fine to
            coarse: (0.0001, 0.01) in an FCN-8s that is trained at once; 1 each by default.
        dropout_ratio: of whole channels, before ``conv_seg``; VGG16 has its own behind fc7.
        init_cfg: initialisation; zeros for all scores by default.
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
        in_index: Sequence[int] | None = None,
        padding: int = 3,
        upsampling: str = "interpolation",
        skip_scales: Sequence[float] | None = None,
        dropout_ratio: float = 0,
        init_cfg: dict | list[dict] | None = None,
        **kwargs: Any,
    ) -> None:
        check_choice("padding", padding, (0, 3, 100))
        if upsampling not in _UPSAMPLINGS:
            raise ConfigError(
                f"upsampling={upsampling!r} is not supported: use one of {', '.join(_UPSAMPLINGS)}"
            )
        *skips, coarsest = in_channels
        scales = tuple(skip_scales or [1.0] * len(skips))
        if len(scales) != len(skips) or not all(is_number(scale, above=0) for scale in scales):
            raise ConfigError(
                f"skip_scales={skip_scales!r} must be {len(skips)} numbers above 0, one for each "
                "map but the coarsest"
            )
        super().__init__(
            in_channels,
            coarsest,
            num_classes=num_classes,
            in_index=in_index or tuple(range(len(in_channels))),
            input_transform="multiple_select",
            dropout_ratio=dropout_ratio,
            init_cfg=init_cfg or {"type": "Constant", "layer": "Conv2d", "val": 0},
            **kwargs,
        )
        self.padding = padding
        self.upsampling = upsampling
        self.skip_scales = scales[::-1]  # as all that follows, from coarse to fine
        self.skip_scores = ModuleList(
            nn.Conv2d(channels, self.out_channels, 1) for channels in reversed(skips)
        )
        self.upsamplings = ModuleList(
            self._upsampling(2, trained=upsampling == "trained") for _ in skips
        )
        if padding == 100:
            self.last_upsampling = self._upsampling(_STRIDE // 2 ** len(skips), trained=False)
            self.skip_crops, self.last_crop = self._crops()

    def _upsampling(self, factor: int, *, trained: bool) -> nn.Module:
        if self.upsampling == "interpolation":
            return nn.Upsample(scale_factor=factor, mode="bilinear")
        return TransposedUpsampling(self.out_channels, factor, trained=trained)

    def _crops(self) -> tuple[list[int], int]:
        """What is cropped from the top and left: of each finer map, and of the last upsampling."""
        begin, stride, crops = _FC7_BEGINS, _STRIDE, []
        for upsampling in self.upsamplings:
            stride //= 2
            begin -= _border(upsampling) * stride
            crops.append((begin - _POOLS_BEGIN) // stride)
        return crops, _border(self.last_upsampling) - begin

    def forward(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """Compute the logits.

        Args:
            inputs: the backbone's maps; with ``padding=100`` the images at the end.

        Returns:
            [N, num_classes, h, w]: of the finest map's size, with ``padding=100`` of the images'.

        Raises:
            ConfigError: the backbone has no such map, one of other channels, or another padding.
        """
        images_follow = bool(inputs[-1].shape[1] == _IMAGE_CHANNELS)
        if images_follow != (self.padding == 100):
            raise ConfigError(
                f"decode_head.padding={self.padding}, but the backbone pads otherwise (with 100, "
                "VGG16 returns the images behind its maps): give both the same padding"
            )
        maps = zip(self.in_index, self.in_channels)
        *skips, coarsest = (pick(inputs, "in_index", i, channels=width) for i, width in maps)
        scores = self.cls_seg(coarsest)
        steps = zip(skips[::-1], self.skip_scales, self.skip_scores, self.upsamplings)
        for number, (skip, scale, score, upsampling) in enumerate(steps):
            scored = score(skip * scale)
            if self.padding == 100:
                scores = upsampling(scores)
                scored = _cropped(scored, self.skip_crops[number], scores.shape[-2:])
            else:
                scores = _upsampled_to(scores, scored.shape[-2:], upsampling)
            scores = scores + scored
        if self.padding == 100:
            scores = _cropped(self.last_upsampling(scores), self.last_crop, inputs[-1].shape[-2:])
        return scores


def _border(upsampling: nn.Module) -> int:
    """Pixels that it adds beyond each side."""
    return upsampling.border if isinstance(upsampling, TransposedUpsampling) else 0


def _cropped(x: Tensor, begin: int, size: Sequence[int]) -> Tensor:
    height, width = size
    return x[..., begin : begin + height, begin : begin + width]


def _upsampled_to(x: Tensor, size: Sequence[int], upsampling: nn.Module) -> Tensor:
    """Twofold, to a map of this size; it has an odd row or column where pooling dropped one."""
    if isinstance(upsampling, TransposedUpsampling):
        return _cropped(upsampling(x), upsampling.border, size)
    return resize_bilinear(x, size, align_corners=False)
