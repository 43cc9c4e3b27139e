"""The official evaluation over scales and flips, as MMEngine's test-time augmentation."""

from __future__ import annotations

from typing import Any, Sequence

from mmseg.models.segmentors import SegTTAModel
from torch import Tensor, nn
from torch.nn import functional as F

from mmseg_deeplab_ext.config_values import is_number
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.inference.scales import MERGES, STOCK_TTA, mean_probabilities, merged_logits
from mmseg_deeplab_ext.layers.bilinear_resize import resize_bilinear
from mmseg_deeplab_ext.layers.nearest_resize import resize_nearest
from mmseg_deeplab_ext.registry import MODELS

SOFTMAX = "softmax"
UPSAMPLE = ("logits", "labels")


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
        _check_choice("merge", merge, (SOFTMAX, *MERGES))
        _check_choice("upsample", upsample, UPSAMPLE)
        if upsample == "labels" and merge == SOFTMAX:
            raise ConfigError(
                "tta_model: upsample='labels' takes labels from merged logits: use it with "
                f"merge={' or '.join(map(repr, MERGES))}"
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
        """Class scores [N, num_classes, H, W] of padded, normalised images [N, 3, H, W]."""
        views = dict(scales=self.scales, flip=self.flip)
        if self.merge == SOFTMAX:
            return mean_probabilities(self.module, images, **views)
        logits = merged_logits(self.module, images, merge=self.merge, **views)
        size = images.shape[-2:]
        if self.upsample == "logits":
            return resize_bilinear(logits, size)
        labels = resize_nearest(logits.argmax(dim=1), size)
        return F.one_hot(labels, logits.shape[1]).permute(0, 3, 1, 2).to(logits)


def _checked_scales(scales: Any) -> tuple[float, ...]:
    listed = isinstance(scales, (list, tuple)) and len(scales) > 0
    if not listed or not all(is_number(scale, above=0) for scale in scales):
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
            f"image. Set model.test_cfg=dict(mode='whole'), or use {STOCK_TTA}"
        )
    if getattr(module, "out_channels", None) == 1:
        raise ConfigError(
            "The segmentor has one output channel, and the official evaluation over scales "
            f"averages softmax probabilities: use out_channels=2, or {STOCK_TTA}"
        )
