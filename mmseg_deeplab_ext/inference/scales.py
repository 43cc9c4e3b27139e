"""Scores of an image from several scales and flips of it, merged as TensorFlow's ``model.py`` does.

Everything is resized with aligned corners, and a size is counted without its first pixel.
"""

from __future__ import annotations

from functools import reduce
from typing import Any, Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.inference.logits import network_logits
from mmseg_deeplab_ext.layers.bilinear_resize import resize_bilinear
from mmseg_deeplab_ext.layers.scale_dimension import scale_size

MERGES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {"max": torch.maximum, "avg": torch.add}
"""``merge_method`` of an image pyramid: from the logits so far and those of one more view."""

STOCK_TTA = "tta_model=dict(type='SegTTAModel') with a tta_pipeline that has TestTimeAug"
"""What to use instead, where this does not go."""

_STRIDES = (1, 2, 4, 8, 16, 32)


def mean_probabilities(
    segmentor: nn.Module, images: Tensor, *, scales: Sequence[float], flip: bool
) -> Tensor:
    """``predict_labels_multi_scale``: every scale is a pyramid of its own.

    From images [N, 3, H, W], normalised and padded, and with ``flip`` their mirror images too, at
    ``scales`` of their size, to probabilities [N, num_classes, H, W].
    """
    total: Any = 0
    for scale in scales:
        for logits in _views(segmentor, images, [scale], flip=flip):
            total += resize_bilinear(logits, images.shape[-2:]).softmax(dim=1)
    return total / (len(scales) * (1 + flip))


def merged_logits(
    segmentor: nn.Module, images: Tensor, *, scales: Sequence[float], flip: bool, merge: str
) -> Tensor:
    """``multi_scale_logits``: one pyramid, merged by one of ``MERGES``.

    Arguments as above; returns [N, num_classes, h, w], on the grid of the largest scale, at least
    that of the images.
    """
    merged = reduce(MERGES[merge], _views(segmentor, images, scales, flip=flip))
    return merged / (len(scales) * (1 + flip)) if merge == "avg" else merged


def _views(
    segmentor: nn.Module, images: Tensor, pyramid: Sequence[float], *, flip: bool
) -> Iterator[Tensor]:
    """Logits of every view: on one grid, unflipped; [N, num_classes, h, w] each."""
    crop = images.shape[-2:]
    for scale in pyramid:
        scaled = resize_bilinear(images, scale_size(crop, scale))
        for flipped in (False, True)[: 1 + flip]:
            view = scaled.flip(-1) if flipped else scaled
            logits = network_logits(segmentor, view, image_scale=scale)
            stride = _stride(view.shape[-2:], logits.shape[-2:])
            logits = resize_bilinear(logits, scale_size(crop, max(1.0, *pyramid) / stride))
            yield logits.flip(-1) if flipped else logits


def _stride(image: Sequence[int], logits: Sequence[int]) -> int:
    """The stride of a network's logits, from what it made of an image (heights and widths)."""
    for stride in _STRIDES:
        if tuple(logits) == tuple(-(-length // stride) for length in image):
            return stride
    raise ConfigError(
        f"The network makes logits of {tuple(logits)} from an image of {tuple(image)}: no stride "
        f"of {_STRIDES}, rounded up, which the official merge of scales needs. Use {STOCK_TTA}"
    )
