"""From images, normalised and padded, to the logits of any of MMSegmentation's segmentors."""

from __future__ import annotations

import inspect
from typing import Any, Sequence

import torch
from torch import Tensor, nn

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
    have as well. ``half`` computes in float16 on a GPU, in bfloat16 on a CPU.

    Returns:
        [N, num_classes, H, W], or [N, 1, H, W] of a segmentor with one output channel.
    """
    size = tuple(images.shape[-2:])
    # Of the whole batch; what each image's file and padding were matters to its labels only.
    meta = {"ori_shape": size, "img_shape": size, "pad_shape": size}
    dtype = torch.float16 if images.device.type == "cuda" else torch.bfloat16
    with torch.autocast(images.device.type, dtype=dtype, enabled=half):
        return segmentor.inference(images, [dict(meta) for _ in images])


def _takes_scale(head: Any) -> bool:
    return head is not None and "image_scale" in inspect.signature(head.forward).parameters
