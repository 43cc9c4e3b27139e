"""From logits to the label of every pixel of the image file."""

from __future__ import annotations

from typing import Iterator, Sequence

import torch
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from mmseg_deeplab_ext.inference.logits import configured_logits


@torch.no_grad()
def image_labels(
    segmentor: nn.Module, images: Tensor, samples: Sequence[SegDataSample], *, half: bool = False
) -> Iterator[Tensor]:
    """Label a batch of images of one padded size.

    Args:
        segmentor: any, in evaluation mode.
        images: [N, 3, H, W], as its ``data_preprocessor`` returns them.
        samples: the data samples that it returns with them.
        half: as in :func:`~mmseg_deeplab_ext.inference.logits.configured_logits`.

    Yields:
        Classes of one image after the other, [height, width] of its file.
    """
    logits = configured_logits(segmentor, images, half=half)
    # One by one: logits at the size of large images fill the memory.
    for of_image, sample in zip(logits.split(1), samples):
        (result,) = segmentor.postprocess_result(of_image.float(), [sample])
        labels = result.pred_sem_seg.data[0]
        del result.seg_logits, result.pred_sem_seg  # the sample may be kept for long
        yield labels
