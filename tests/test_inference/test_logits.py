"""Logits and labels of any segmentor, and what is said of scaled images to whom."""

import copy

import pytest
import torch
from mmengine.config import ConfigDict
from mmseg.registry import MODELS
from mmseg.utils import register_all_modules

from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.inference.labels import image_labels
from mmseg_deeplab_ext.inference.logits import configured_logits, network_logits, whole_logits
from tests.support.deterministic import make_image
from tests.support.segmentors import batch_of

register_all_modules()
OURS = dict(
    type="mmseg_deeplab_ext.DeepLabV3PlusHead",
    channels=8,
    num_classes=5,
    image_pooling=dict(crop_size=(65, 65), output_stride=16),
)
STOCK = dict(type="FCNHead", in_index=3, channels=8, num_classes=5)
SIGMOID = dict(
    **{**STOCK, "num_classes": 2},
    out_channels=1,
    threshold=0.5,
    loss_decode=dict(type="CrossEntropyLoss", use_sigmoid=True),
)


def segmentor(head, mode="whole"):
    """A small network with random weights that finds several classes in an image."""
    torch.manual_seed(0)
    config = dict(
        type="EncoderDecoder",
        data_preprocessor=dict(
            type="SegDataPreProcessor",
            mean=[127.5] * 3,
            std=[127.5] * 3,
            test_cfg=dict(size=(65, 97)),
        ),
        backbone=dict(type="mmseg_deeplab_ext.ResNetV1Beta", depth=18),
        decode_head=dict(in_channels=512, **head),
        test_cfg=dict(mode=mode, crop_size=(65, 70), stride=(33, 33)),
    )
    model = MODELS.build(ConfigDict(config)).eval()
    torch.nn.init.normal_(model.decode_head.conv_seg.weight)
    images = model.data_preprocessor(batch_of(make_image(50, 64, 3)), False)["inputs"]
    with torch.no_grad():  # so that no class wins everywhere
        model.decode_head.conv_seg.bias -= model(images, mode="tensor").mean(dim=(0, 2, 3))
    return model


@torch.no_grad()
def test_a_head_that_pools_windows_is_told_the_scale_and_others_are_not():
    image, ours = torch.randn(1, 3, 33, 49), segmentor(OURS)
    with pytest.raises(ConfigError, match=r"window of \(5, 5\)"):
        network_logits(ours, image)
    half = segmentor({**OURS, "image_pooling": dict(crop_size=(33, 33), output_stride=16)})
    half.load_state_dict(ours.state_dict())
    expected = half(image, mode="tensor")
    assert torch.equal(network_logits(ours, image, image_scale=0.5), expected)
    stock = segmentor(STOCK)
    expected = stock(image, mode="tensor")
    assert torch.equal(network_logits(stock, image, image_scale=0.5), expected)


@torch.no_grad()
@pytest.mark.parametrize("head", [OURS, STOCK], ids=["ours", "stock"])
def test_logits_of_whole_images_are_the_segmentors_own(head):
    model, images = segmentor(head), torch.randn(2, 3, 65, 97)
    logits = configured_logits(model, images)
    assert torch.equal(logits, whole_logits(model, images, size=(65, 97)))
    assert logits.shape == (2, 5, 65, 97)


@pytest.mark.parametrize("mode", ["whole", "slide"])
@pytest.mark.parametrize("head", [OURS, STOCK, SIGMOID], ids=["ours", "stock", "sigmoid"])
def test_labels_are_those_of_the_segmentors_own_prediction(head, mode):
    model = segmentor(head, mode=mode)
    batches = [batch_of(make_image(50, 64, seed)) for seed in (3, 4)]
    batch = {key: [each[key][0] for each in batches] for key in ("inputs", "data_samples")}
    with torch.no_grad():
        expected = [each.pred_sem_seg.data[0] for each in model.test_step(copy.deepcopy(batch))]
    ready = model.data_preprocessor(batch, False)
    found = list(image_labels(model, ready["inputs"], ready["data_samples"]))
    assert [tuple(each.shape) for each in found] == [(50, 64)] * 2
    assert all(torch.equal(*pair) for pair in zip(found, expected))
    assert all(len(each.unique()) > 1 for each in found)
    assert not any("pred_sem_seg" in sample for sample in batch["data_samples"])
