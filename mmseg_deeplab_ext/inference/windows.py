"""Logits from a sliding window, row by row of windows, with memory for one such row only.

The windows, and the order in which they are added up, are those of MMSegmentation's
``EncoderDecoder.slide_inference``, and so are the logits, to the last bit. That one adds every
window to logits of the whole image, padded to the same size.
"""

from __future__ import annotations

from typing import Any, Callable, Iterator, Mapping, Sequence

from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor, nn

from mmseg_deeplab_ext.errors import ConfigError

Progress = Callable[[int, int], None]
"""Told after each window how many are done, and of how many."""


def slides(segmentor: nn.Module) -> bool:
    """Whether a segmentor predicts from the windows that this module knows."""
    mode = (getattr(segmentor, "test_cfg", None) or {}).get("mode", "whole")
    own = getattr(type(segmentor), "slide_inference", None)
    return mode == "slide" and own in (EncoderDecoder.slide_inference, slide_logits)


def slide_logits(
    segmentor: nn.Module, inputs: Tensor, batch_img_metas: Sequence[dict[str, Any]]
) -> Tensor:
    """``EncoderDecoder.slide_inference``: logits [N, C, H, W] of images [N, 3, H, W]."""
    size = (len(inputs), segmentor.out_channels, *inputs.shape[-2:])
    logits = inputs.new_empty(size)
    top = 0
    for band in logit_bands(segmentor, inputs, batch_img_metas):
        rows = band.shape[2]
        logits[:, :, top : top + rows] = band
        top += rows
    return logits


def logit_bands(
    segmentor: nn.Module,
    images: Tensor,
    metas: Sequence[dict[str, Any]],
    *,
    progress: Progress | None = None,
) -> Iterator[Tensor]:
    """Logits of images [N, 3, H, W], from top to bottom, as soon as no window will add to them.

    Args:
        segmentor: One that ``slides``.
        images: Normalised and padded.
        metas: What each image was, as ``encode_decode`` takes it.
        progress: Told of every window.

    Yields:
        [N, C, rows, W]; valid until the next one is asked for.

    Raises:
        ConfigError: The windows leave gaps.
    """
    height, width = images.shape[-2:]
    tops, lefts = _starts(segmentor.test_cfg, height, width)
    rows, columns = (min(a, b) for a, b in zip(segmentor.test_cfg["crop_size"], (height, width)))
    sums = images.new_zeros(len(images), segmentor.out_channels, rows, width)
    counts = images.new_zeros(rows, width)
    for number, (top, following) in enumerate(zip(tops, [*tops[1:], height])):
        for done, left in enumerate(lefts, 1 + number * len(lefts)):
            window = images[:, :, top : top + rows, left : left + columns]
            metas[0]["img_shape"] = window.shape[2:]  # where heads look for the size of all
            sums[..., left : left + columns] += segmentor.encode_decode(window, metas)
            counts[:, left : left + columns] += 1
            if progress is not None:
                progress(done, len(tops) * len(lefts))
        finished = following - top
        yield sums[:, :, :finished].div_(counts[:finished])
        for each in (sums, counts):
            rest = each[..., finished:, :].clone()
            each[..., : rows - finished, :] = rest
            each[..., rows - finished :, :] = 0


def _starts(test_cfg: Mapping[str, Any], *size: int) -> list[list[int]]:
    """Where the windows begin, along the height and along the width."""
    starts = []
    for length, crop, stride in zip(size, test_cfg["crop_size"], test_cfg["stride"]):
        count = -(-max(length - crop, 0) // stride) + 1
        here = [max(min(n * stride, length - crop), 0) for n in range(count)]
        if any(right - left > crop for left, right in zip(here, here[1:])):
            raise ConfigError(
                f"model.test_cfg: windows of crop_size={tuple(test_cfg['crop_size'])} that move by "
                f"stride={tuple(test_cfg['stride'])} leave gaps. Set a stride of at most the crop."
            )
        starts.append(here)
    return starts
