"""The official evaluation over scales and flips, as MMEngine's test-time augmentation."""

from __future__ import annotations

from typing import Any, Callable, Iterator, Mapping, Sequence

import torch
from mmseg.models.segmentors import SegTTAModel
from mmseg.models.utils import resize
from torch import Tensor, nn
from torch.nn import functional as F

from mmseg_deeplab_ext.decode_heads.aspp import scaled_windows
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.layers.nearest_resize import resize_nearest
from mmseg_deeplab_ext.layers.scale_dimension import scale_size
from mmseg_deeplab_ext.registry import MODELS

SOFTMAX = "softmax"
# model.py: merge_method of an image pyramid. From the logits so far and those of one more view.
_LOGITS_MERGES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "max": torch.maximum,
    "avg": torch.add,
}
MERGES = (SOFTMAX, *_LOGITS_MERGES)
UPSAMPLE = ("logits", "labels")

_STRIDES = (1, 2, 4, 8, 16, 32)
_STOCK = "tta_model=dict(type='SegTTAModel') with a tta_pipeline that has TestTimeAug"


@MODELS.register_module()
class DeepLabTTAModel(SegTTAModel):
    """Predict from scaled and flipped copies of the padded image, as TensorFlow's eval.py does.

    MMSegmentation's :class:`SegTTAModel` resizes the image before it is padded, so that each
    scale sees another share of padding, and a network that pools the whole map another context;
    it takes the logits of small images straight to the size of the original. The official code
    resizes the padded image, and takes the logits of a reduced one to the grid of the whole
    image's first. So this model scales and flips by itself: ``tta_pipeline`` is the plain test
    pipeline, without ``TestTimeAug``.

    ==========================================  ==============================================
    TensorFlow                                  here
    ==========================================  ==============================================
    ``eval_scales``, ``add_flipped_images``     ``scales``, ``flip``
    ``image_pyramid``, ``merge_method``         ``scales``, ``merge="max"`` or ``"avg"``
    ``prediction_with_upsampled_logits=False``  ``upsample="labels"``, ``merge="max"``
    ==========================================  ==============================================

    Args:
        module: the segmentor, or its config.
        scales: factors of the padded image's size.
        flip: predict from the mirror image too, at every scale.
        merge: ``"softmax"`` averages probabilities; ``"max"`` and ``"avg"`` merge logits.
        upsample: what is brought to the size of the image: ``"logits"``, or the ``"labels"``
            found on the grid of the logits (nearest; for merged logits only).
        data_preprocessor: as in :class:`BaseTTAModel`.

    Raises:
        ConfigError: on an argument outside these values, or a segmentor that predicts from
            sliding windows or has a single channel.
    """

    def __init__(
        self,
        module: dict | nn.Module,
        *,
        scales: Sequence[float] = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75),
        flip: bool = True,
        merge: str = SOFTMAX,
        upsample: str = "logits",
        data_preprocessor: dict | nn.Module | None = None,
    ) -> None:
        _check_choice("merge", merge, MERGES)
        _check_choice("upsample", upsample, UPSAMPLE)
        if upsample == "labels" and merge == SOFTMAX:
            raise ConfigError(
                "tta_model: upsample='labels' takes labels from merged logits: use it with "
                f"merge={' or '.join(map(repr, _LOGITS_MERGES))}"
            )
        super().__init__(module, data_preprocessor)
        _check_segmentor(self.module)
        self.scales = _checked_scales(scales)
        self.flip = flip
        self.merge = merge
        self.upsample = upsample

    def test_step(self, data: dict[str, Any]) -> list:
        """Predict for a batch of images of one size.

        Args:
            data: ``inputs`` and ``data_samples``, as the plain test pipeline packs them.

        Returns:
            The data samples with ``pred_sem_seg``, and in ``seg_logits`` what the labels come
            from: mean probabilities, merged logits, or for ``upsample="labels"`` ones and zeros.

        Raises:
            ConfigError: the pipeline has made several copies of each image.
        """
        if data["inputs"] and isinstance(data["inputs"][0], (list, tuple)):
            raise ConfigError(
                "DeepLabTTAModel scales and flips the padded image itself, but tta_pipeline gives "
                f"{len(data['inputs'])} copies of it: take TestTimeAug out of it (tta_pipeline = "
                "test_pipeline), or set tta_model=dict(type='SegTTAModel')"
            )
        batch = self.module.data_preprocessor(data, False)
        scores = self.merged(batch["inputs"])
        return self.module.postprocess_result(scores, batch["data_samples"])

    def merged(self, images: Tensor) -> Tensor:
        """Class scores of padded, normalised images.

        Args:
            images: [N, 3, H, W].

        Returns:
            [N, num_classes, H, W]; their argmax is the prediction.
        """
        if self.merge == SOFTMAX:
            return self._mean_probabilities(images)
        logits = self._merged_logits(images)
        if self.upsample == "logits":
            return _resized(logits, images.shape[-2:])
        height, width = images.shape[-2:]
        labels = resize_nearest(logits.argmax(dim=1), (height, width))
        return F.one_hot(labels, logits.shape[1]).permute(0, 3, 1, 2).to(logits)

    def _mean_probabilities(self, images: Tensor) -> Tensor:
        """``predict_labels_multi_scale``: every scale is a pyramid of its own."""
        total: Any = 0
        for scale in self.scales:
            for logits in self._views(images, [scale]):
                total += _resized(logits, images.shape[-2:]).softmax(dim=1)
        return total / (len(self.scales) * (1 + self.flip))

    def _merged_logits(self, images: Tensor) -> Tensor:
        """``multi_scale_logits``: all scales on the grid of the largest."""
        views = list(self._views(images, self.scales))
        merged = views[0]
        for logits in views[1:]:
            merged = _LOGITS_MERGES[self.merge](merged, logits)
        return merged / len(views) if self.merge == "avg" else merged

    def _views(self, images: Tensor, pyramid: Sequence[float]) -> Iterator[Tensor]:
        """Logits of every view: on one grid, unflipped; [N, num_classes, h, w] each."""
        crop = images.shape[-2:]
        for scale in pyramid:
            scaled = _resized(images, scale_size(crop, scale))
            for flipped in (False, True)[: 1 + self.flip]:
                view = scaled.flip(-1) if flipped else scaled
                with scaled_windows(self.module, scale):
                    logits = self.module(view, mode="tensor")
                stride = _logits_stride(view.shape[-2:], logits.shape[-2:])
                grid = scale_size(crop, max(1.0, *pyramid) / stride)
                logits = _resized(logits, grid)
                yield logits.flip(-1) if flipped else logits


def _resized(x: Tensor, size: Sequence[int]) -> Tensor:
    """[N, C, H, W] to [N, C, *size], as DeepLab resizes everything (core/utils.py)."""
    return resize(x, size=tuple(size), mode="bilinear", align_corners=True, warning=False)


def _logits_stride(image: Sequence[int], logits: Sequence[int]) -> int:
    """The stride of a network's logits, from what it made of an image (heights and widths)."""
    for stride in _STRIDES:
        if tuple(logits) == tuple(-(-length // stride) for length in image):
            return stride
    raise ConfigError(
        f"The network makes logits of {tuple(logits)} from an image of {tuple(image)}: no stride "
        f"of {_STRIDES}, rounded up, which the official merge of scales needs. Use {_STOCK}"
    )


def _checked_scales(scales: Any) -> tuple[float, ...]:
    good = isinstance(scales, (list, tuple)) and all(
        isinstance(scale, (int, float)) and not isinstance(scale, bool) and scale > 0
        for scale in scales
    )
    if not good or not scales:
        raise ConfigError(
            f"tta_model: scales={scales!r} must be a list of positive factors, such as (0.75, 1.0)"
        )
    return tuple(scales)


def _check_choice(name: str, value: Any, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ConfigError(f"tta_model: {name}={value!r} must be one of {', '.join(allowed)}")


def _check_segmentor(module: nn.Module) -> None:
    mode = (getattr(module, "test_cfg", None) or {}).get("mode", "whole")
    if mode != "whole":
        raise ConfigError(
            f"model.test_cfg.mode={mode!r}: the official evaluation over scales takes the whole "
            f"image. Set model.test_cfg=dict(mode='whole'), or use {_STOCK}"
        )
    if getattr(module, "out_channels", None) == 1:
        raise ConfigError(
            "The segmentor has one output channel, and the official evaluation over scales "
            f"averages softmax probabilities: use out_channels=2, or {_STOCK}"
        )
