"""What the exported file computes: from an image of any size to its labels."""

from __future__ import annotations

import torch
from mmseg.models import SegDataPreProcessor
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor, nn

from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.inference.logits import whole_logits
from mmseg_deeplab_ext.layers.bilinear_resize import resize_bilinear
from mmseg_deeplab_ext.layers.nearest_resize import resize_nearest
from mmseg_deeplab_ext.layers.resize_range import ResizeRange


class InferenceGraph(nn.Module):
    """Preprocessing, network and postprocessing of ``export_model.py``, as one module.

    Args:
        segmentor: an ``EncoderDecoder``; it is put into evaluation mode.
        crop_size: height and width that every image is padded to; None runs the network at the
            image's own size.
        resize: how images are resized first; None leaves them as they are.
        probabilities: whether to return them, too.

    Raises:
        ConfigError: the segmentor is of a kind that can't be exported.
    """

    def __init__(
        self,
        segmentor: nn.Module,
        *,
        crop_size: tuple[int, int] | None,
        resize: ResizeRange | None = None,
        probabilities: bool = False,
    ) -> None:
        super().__init__()
        _check(segmentor)
        self.segmentor = segmentor
        self.crop_size = crop_size
        self.resize = resize
        self.probabilities = probabilities
        preprocessor = segmentor.data_preprocessor
        self.pad_value = float(preprocessor.pad_val)
        # MMSegmentation's images are BGR; the exported graph's input is RGB.
        self.reverses_channels = not _reverses_channels(preprocessor)
        scale, shift = torch.ones(3, 1, 1).double(), torch.zeros(3, 1, 1).double()
        if preprocessor._enable_normalize:
            scale = 1 / preprocessor.std.double()
            shift = preprocessor.mean.double() * scale
        # x * scale - shift, rounded to float32, is TensorFlow's arithmetic to the last bit:
        # x * (2 / 255) - 1, or x - mean (core/feature_extractor.py).
        self.register_buffer("scale", scale.float())
        self.register_buffer("shift", shift.float())
        self.eval()

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Label every pixel of an image, uint8 [1, H, W, 3], RGB.

        Returns:
            Labels, int64 [1, H, W]; with ``probabilities`` those of all classes, too, float32
            [1, H, W, C]; at last the :meth:`logits` that they are made of.
        """
        logits = self.logits(image)
        outputs = [self.to_original(logits.argmax(dim=1), image)]
        if self.probabilities:
            probabilities = logits.softmax(dim=1)
            if self.resize is not None:
                probabilities = resize_bilinear(probabilities, image.shape[1:3])
            outputs.append(probabilities.permute(0, 2, 3, 1))
        return (*outputs, logits)

    def logits(self, image: Tensor) -> Tensor:
        """Logits of the resized image, without its padding: [1, C, h, w]."""
        x = self.preprocessed(image)
        height, width = x.shape[-2:]
        if self.crop_size is None:
            return whole_logits(self.segmentor, x, size=(height, width))
        padded = pad_to(x, self.crop_size, value=self.pad_value)
        logits = whole_logits(self.segmentor, padded, size=self.crop_size)
        return logits[..., :height, :width]

    def preprocessed(self, image: Tensor) -> Tensor:
        """The image resized and normalised: [1, 3, h, w], float32."""
        x = image.permute(0, 3, 1, 2).float()
        if self.resize is not None:
            # A tensor, so that a traced graph computes the size of the image that it is given.
            size = torch.stack([torch.as_tensor(side) for side in image.shape[1:3]])
            x = resize_bilinear(x, self.resize.size(size).unbind())
        if self.reverses_channels:
            x = x.flip(1)
        return x * self.scale - self.shift

    def to_original(self, values: Tensor, image: Tensor) -> Tensor:
        """Bring [1, h, w] of the resized image back to the original size by nearest neighbours."""
        return values if self.resize is None else resize_nearest(values, image.shape[1:3])


def pad_to(x: Tensor, size: tuple[int, int], *, value: float) -> Tensor:
    """Pad [1, 3, h, w] at the bottom and right to exactly (H, W).

    A larger image fails, in the graph as well: it can't be reshaped to this size.
    """
    nothing = torch.tensor(0)  # not clamp: runtimes stumble over the open end of a Clip of int64
    missing = [torch.maximum(torch.as_tensor(w - s), nothing) for w, s in zip(size, x.shape[-2:])]
    padded = nn.functional.pad(x, [0, missing[1], 0, missing[0]], value=value)
    return padded.reshape(1, 3, *size)


def _reverses_channels(preprocessor: SegDataPreProcessor) -> bool:
    """Whether it turns the loaded BGR images into RGB; the attribute is OneDL's or OpenMMLab's."""
    attributes = vars(preprocessor)
    name = "_channel_conversion" if "_channel_conversion" in attributes else "channel_conversion"
    return attributes[name]


def _check(segmentor: nn.Module) -> None:
    head = getattr(segmentor, "decode_head", None)
    if not isinstance(head, BaseDecodeHead):
        raise ConfigError(
            f"the config's model is a {type(segmentor).__name__} whose decode_head is a "
            f"{type(head).__name__}: only an EncoderDecoder with one decode head can be exported"
        )
    if head.out_channels < 2:
        raise ConfigError(
            f"the config's decode_head has out_channels={head.out_channels}: only heads with one "
            "channel per class can be exported, two for foreground and background"
        )
    preprocessor = segmentor.data_preprocessor
    if not isinstance(preprocessor, SegDataPreProcessor):
        raise ConfigError(
            f"the config's data_preprocessor is a {type(preprocessor).__name__}: the export takes "
            "the normalisation from a SegDataPreProcessor"
        )
