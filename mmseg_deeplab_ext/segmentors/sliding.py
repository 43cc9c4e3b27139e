"""MMSegmentation's segmentor with a sliding window that large images can afford."""

from __future__ import annotations

from typing import Any, Sequence

from mmengine.structures import PixelData
from mmseg.models.segmentors import EncoderDecoder
from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_deeplab_ext.inference.labels import image_labels
from mmseg_deeplab_ext.inference.windows import slide_logits, slides
from mmseg_deeplab_ext.registry import MODELS


@MODELS.register_module()
class SlidingEncoderDecoder(EncoderDecoder):
    """``EncoderDecoder`` with the same predictions from ``test_cfg=dict(mode="slide", ...)``.

    Each window is added into its own place in the logits of the image, where MMSegmentation pads
    it to the size of the image first: the time is linear in the pixels, not quadratic.

    Args:
        seg_logits: whether predictions from windows hold the logits (``seg_logits``), as large as
            classes times pixels. Without them, finished rows become labels at once, and memory is
            needed for one row of windows only. Metrics need labels only; ``SegTTAModel`` needs
            logits.
        kwargs: those of ``EncoderDecoder``.
    """

    slide_inference = slide_logits

    def __init__(self, *args: Any, seg_logits: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.seg_logits = seg_logits

    def predict(
        self, inputs: Tensor, data_samples: Sequence[SegDataSample] | None = None
    ) -> Sequence[SegDataSample]:
        """Predict a batch of normalised and padded images; the samples get the predictions."""
        if self.seg_logits or data_samples is None or not slides(self):
            return super().predict(inputs, data_samples)
        for sample, labels in zip(data_samples, image_labels(self, inputs, data_samples)):
            sample.pred_sem_seg = PixelData(data=labels[None])
        return data_samples
