"""From images, normalised and padded, to the logits of any of MMSegmentation's segmentors."""

from __future__ import annotations

import inspect
from typing import Any, Iterator, Sequence

import torch
from torch import Tensor, nn

from mmseg_deeplab_ext.inference.windows import Progress, logit_bands, slide_logits, slides
from mmseg_deeplab_ext.layers.bilinear_resize import resize_bilinear


def network_logits(segmentor: nn.Module, images: Tensor, *, image_scale: float = 1.0) -> Tensor:
    """Logits [N, num_classes, h, w] of images [N, 3, H, W], on the network's own grid.

    ``image_scale`` is what the images were scaled by: said to a decode head that pools windows of
    the image (:class:`~mmseg_deeplab_ext.DeepLabV3PlusHead`); others have no use for it.
    """
    head = getattr(segmentor, "decode_head", None)
    if image_scale == 1 or not _takes_scale(head):
        return segmentor(images, mode="tensor")
    return head(segmentor.extract_feat(images), image_scale=image_scale)


def whole_logits(segmentor: nn.Module, images: Tensor, *, size: Sequence[int | Tensor]) -> Tensor:
    """Logits [N, num_classes, H, W] of whole images, [N, 3, H, W], whatever ``test_cfg`` says.

    ``size`` is (H, W); a traced graph has it as tensors, or as numbers where it is fixed.
    """
    align_corners = segmentor.decode_head.align_corners
    return resize_bilinear(network_logits(segmentor, images), size, align_corners=align_corners)


def configured_logits(segmentor: nn.Module, images: Tensor, *, half: bool = False) -> Tensor:
    """Logits of images [N, 3, H, W], at their size, whole or from windows, as ``test_cfg`` says.

    MMSegmentation's own way, which heads with another kind of prediction (EncHead, Mask2Former)
    have as well; windows are added up in place. ``half`` computes in float16 on a GPU, in bfloat16
    on a CPU.

    Returns:
        [N, num_classes, H, W], or [N, 1, H, W] of a segmentor with one output channel.
    """
    with _precision(images, half=half):
        if slides(segmentor):
            return slide_logits(segmentor, images, _metas(images))
        return segmentor.inference(images, _metas(images))


def configured_bands(
    segmentor: nn.Module, images: Tensor, *, half: bool = False, progress: Progress | None = None
) -> Iterator[Tensor]:
    """These logits from top to bottom, [N, num_classes, rows, W], of a segmentor that ``slides``.

    Each is valid until the next one is asked for.
    """
    bands = logit_bands(segmentor, images, _metas(images), progress=progress)
    while True:
        with _precision(images, half=half):  # not while the caller has the band
            band = next(bands, None)
        if band is None:
            return
        yield band


def _metas(images: Tensor) -> list[dict[str, Any]]:
    """Of the whole batch; what each image's file and padding were matters to its labels only."""
    size = tuple(images.shape[-2:])
    return [{"ori_shape": size, "img_shape": size, "pad_shape": size} for _ in images]


def _precision(images: Tensor, *, half: bool) -> torch.autocast:
    dtype = torch.float16 if images.device.type == "cuda" else torch.bfloat16
    return torch.autocast(images.device.type, dtype=dtype, enabled=half)


def _takes_scale(head: Any) -> bool:
    return head is not None and "image_scale" in inspect.signature(head.forward).parameters
