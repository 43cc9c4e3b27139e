"""A sliding window: MMSegmentation's logits, in the memory of one row of windows."""

import copy

import pytest
import torch
from mmengine.config import ConfigDict
from mmseg.models.segmentors import EncoderDecoder
from mmseg.structures import SegDataSample
from torch.utils._python_dispatch import TorchDispatchMode

from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.inference.labels import image_labels
from mmseg_deeplab_ext.inference.logits import configured_logits
from mmseg_deeplab_ext.inference.windows import slides
from mmseg_deeplab_ext.segmentors import SlidingEncoderDecoder

CLASSES = 6


class Windows(SlidingEncoderDecoder):
    """Predicts what it sees, at once: random weights for the colours of a pixel and its place."""

    def __init__(self, **test_cfg):
        torch.nn.Module.__init__(self)
        self.test_cfg = ConfigDict(mode="slide", **test_cfg)
        self.out_channels = CLASSES
        self.align_corners = True
        self.seg_logits = False

    def encode_decode(self, inputs, batch_img_metas):
        assert batch_img_metas[0]["img_shape"] == inputs.shape[2:]
        weights = torch.randn(CLASSES, 3, generator=torch.Generator().manual_seed(1))
        logits = torch.einsum("kc,nchw->nkhw", weights, inputs)
        return logits * torch.linspace(0.1, 1, inputs.shape[3])  # windows disagree


class Largest(TorchDispatchMode):
    """Remembers the number of elements of the largest tensor that was made."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor):
            self.elements = max(self.elements, made.numel())
        return made


def stock_logits(model, images):
    """What MMSegmentation's own sliding window makes of a batch."""
    metas = [dict(img_shape=images.shape[2:]) for _ in images]
    return EncoderDecoder.slide_inference(model, images, metas)


def samples_of(images, **meta):
    size = tuple(images.shape[2:])
    values = {"ori_shape": size, "img_shape": size, **meta}
    return [SegDataSample(metainfo=values) for _ in images]


def noise(*size):
    return torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("size", [(40, 50), (17, 13), (18, 30), (9, 40), (40, 9), (53, 26)])
@pytest.mark.parametrize("stride", [(11, 9), (17, 13), (3, 5)])
def test_the_logits_are_mmsegmentations_to_the_last_bit(size, stride):
    model, images = Windows(crop_size=(17, 13), stride=stride), noise(*size)
    assert torch.equal(configured_logits(model, images), stock_logits(model, images))


def test_the_labels_of_padded_images_are_those_of_their_logits():
    model, images = Windows(crop_size=(17, 13), stride=(11, 9)), noise(40, 50)
    inside = (slice(1, 37), slice(4, 48))
    samples = samples_of(images, ori_shape=(36, 44), padding_size=[4, 2, 1, 3])
    expected = stock_logits(model, images).argmax(1)[(slice(None), *inside)]
    labels = list(image_labels(model, images, samples, dtype=torch.uint8))
    assert labels[0].dtype == torch.uint8
    assert torch.equal(torch.stack(labels), expected.to(torch.uint8))
    assert len(expected.unique()) == CLASSES


@pytest.mark.parametrize(
    "meta", [dict(ori_shape=(60, 75)), dict(flip=True, flip_direction="horizontal")]
)
def test_images_that_were_resized_or_flipped_get_the_labels_of_the_logits_brought_back(meta):
    model, images = Windows(crop_size=(17, 13), stride=(11, 9)), noise(40, 50)
    samples = samples_of(images, **meta)
    results = model.postprocess_result(stock_logits(model, images), copy.deepcopy(samples))
    for labels, result in zip(image_labels(model, images, samples), results):
        assert torch.equal(labels, result.pred_sem_seg.data[0])


def test_the_memory_for_labels_is_that_of_one_row_of_windows_and_the_images():
    model, images = Windows(crop_size=(16, 16), stride=(8, 8)), noise(160, 32)
    with Largest() as largest:
        list(image_labels(model, images, samples_of(images)))
    assert largest.elements == 2 * 160 * 32  # the labels; one row's logits are 6 / 10 of that


def test_the_progress_counts_every_window():
    model, images, told = Windows(crop_size=(16, 16), stride=(8, 8)), noise(40, 30), []
    progress = lambda *numbers: told.append(numbers)  # noqa: E731
    list(image_labels(model, images, samples_of(images), progress=progress))
    assert told == [(number, 12) for number in range(1, 13)]


def test_windows_that_leave_gaps_are_refused():
    model = Windows(crop_size=(16, 16), stride=(16, 20))
    with pytest.raises(ConfigError, match=r"crop_size=\(16, 16\) .* stride=\(16, 20\) leave gaps"):
        configured_logits(model, noise(40, 60))
    # As long as the last window, which is moved back into the image, closes the gap.
    assert torch.isfinite(configured_logits(model, noise(40, 30))).all()


def test_a_segmentor_with_a_window_of_its_own_keeps_it():
    class Own(Windows):
        def slide_inference(self, inputs, batch_img_metas):
            return "own"

        def inference(self, inputs, batch_img_metas):
            return self.slide_inference(inputs, batch_img_metas)

    model = Own(crop_size=(16, 16), stride=(8, 8))
    assert not slides(model)
    assert configured_logits(model, noise(40, 30)) == "own"
