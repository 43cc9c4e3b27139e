"""From logits to the label of every pixel of the image file."""

from __future__ import annotations

from typing import Iterator, Sequence

import torch
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from mmseg_deeplab_ext.inference.logits import configured_bands, configured_logits
from mmseg_deeplab_ext.inference.windows import Progress, slides


@torch.no_grad()
def image_labels(
    segmentor: nn.Module,
    images: Tensor,
    samples: Sequence[SegDataSample],
    *,
    half: bool = False,
    dtype: torch.dtype | None = None,
    progress: Progress | None = None,
) -> Iterator[Tensor]:
    """Label a batch of images of one padded size.

    Where a window slides over images that were not resized, the logits of finished rows become
    labels at once, and those of the whole image are never in memory.

    Args:
        segmentor: any, in evaluation mode.
        images: [N, 3, H, W], as its ``data_preprocessor`` returns them.
        samples: the data samples that it returns with them.
        half: as in :func:`~mmseg_deeplab_ext.inference.logits.configured_logits`.
        dtype: of the labels; by default as the segmentor has them.
        progress: told of the windows of large images.

    Yields:
        Classes of one image after the other, [height, width] of its file.
    """
    frames = [_frame(sample, images) for sample in samples]
    if slides(segmentor) and all(frame is not None for frame in frames):
        bands = configured_bands(segmentor, images, half=half, progress=progress)
        padded = torch.cat([_labels(segmentor, band, dtype) for band in bands], dim=1)
        yield from (of_image[frame] for of_image, frame in zip(padded, frames))
        return
    logits = configured_logits(segmentor, images, half=half)
    # One by one: logits at the size of large images fill the memory.
    for of_image, sample in zip(logits.split(1), samples):
        yield _labels(segmentor, of_image, dtype, [sample])[0]


def _labels(
    segmentor: nn.Module,
    logits: Tensor,
    dtype: torch.dtype | None,
    samples: list[SegDataSample] | None = None,
) -> Tensor:
    """Labels [N, h, w] of logits [N, C, H, W]; without samples at their size."""
    labels = []
    for result in segmentor.postprocess_result(logits.float(), samples):
        found = result.pred_sem_seg.data[0]
        labels.append(found if dtype is None else found.to(dtype))
        del result.seg_logits, result.pred_sem_seg  # the sample may be kept for long
    return torch.stack(labels)


def _frame(sample: SegDataSample, images: Tensor) -> tuple[slice, slice] | None:
    """Where the image file's pixels are among the padded ones; None if it was resized or flipped.

    As ``BaseSegmentor.postprocess_result`` undoes the padding.
    """
    meta = sample.metainfo
    left, right, top, bottom = meta.get("img_padding_size", meta.get("padding_size", [0] * 4))
    height, width = images.shape[-2:]
    inside = (height - top - bottom, width - left - right)
    if meta.get("flip") or tuple(meta["ori_shape"]) != inside:
        return None
    return slice(top, height - bottom), slice(left, width - right)
