"""Sizes, padding and resampling of the exported graph equal TensorFlow's."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS

from mmseg_deeplab_ext.export.graph import InferenceGraph, pad_to
from mmseg_deeplab_ext.layers.bilinear_resize import resize_bilinear
from mmseg_deeplab_ext.layers.nearest_resize import resize_nearest
from tests.support.preprocess_goldens import golden, largest_difference, shape
from tests.support.segmentors import CONFIGS

SIZES = ("1x1_to_5x7", "5x7_to_17x25", "9x13_to_1x1", "3x4_to_10x1", "16x24_to_64x96")
RESNET_18 = "deeplabv3plus/deeplabv3plus_r18beta-d16_b16-30k_voc12-513x513.py"


@pytest.mark.parametrize("size", SIZES)
def test_resizing_equals_tensorflows(size):
    image = torch.from_numpy(golden(f"bil_in_{size}"))
    wanted = shape(f"bil_out_{size}")[:2]
    resized = resize_bilinear(image.permute(2, 0, 1)[None], wanted)[0].permute(1, 2, 0)
    assert largest_difference(f"bil_out_{size}", resized.numpy()) <= 1e-6 * image.abs().max()
    labels = torch.from_numpy(golden(f"nn_in_{size}"))[..., 0]
    resized = resize_nearest(labels[None], wanted)[0]
    assert largest_difference(f"nn_out_{size}", resized.numpy()[..., None]) == 0


def test_padding_comes_at_the_bottom_and_right_and_a_larger_image_fails():
    padded = pad_to(torch.ones(1, 3, 2, 3), (4, 5), value=7.0)
    assert padded[0, 1].tolist() == [[1, 1, 1, 7, 7]] * 2 + [[7] * 5] * 2
    for size in ((5, 5), (4, 6), (8, 1), (1, 20)):
        with pytest.raises(RuntimeError, match="invalid for input"):
            pad_to(torch.ones(1, 3, *size), (4, 5), value=0.0)


@pytest.mark.parametrize(
    ("variant", "mean", "std"),
    [
        ("resnet_v1_50_beta", [127.5] * 3, [127.5] * 3),
        ("mobilenet_v2", [127.5] * 3, [127.5] * 3),
        ("resnet_v1_50", [123.15, 115.9, 103.06], [1] * 3),
    ],
)
@pytest.mark.parametrize("bgr_to_rgb", [True, False])
def test_normalised_images_are_tensorflows_to_the_last_bit(variant, mean, std, bgr_to_rgb):
    cfg = Config.fromfile(CONFIGS / RESNET_18).model
    order = slice(None) if bgr_to_rgb else slice(None, None, -1)
    cfg.data_preprocessor.update(mean=mean[order], std=std[order], bgr_to_rgb=bgr_to_rgb)
    graph = InferenceGraph(MODELS.build(cfg), crop_size=None)
    image = torch.from_numpy(golden("image"))[None]
    padded = pad_to(graph.preprocessed(image), (97, 129), value=graph.pad_value)
    padded = padded.permute(0, 2, 3, 1).numpy()[..., order]
    assert largest_difference(f"normalized_{variant}", np.ascontiguousarray(padded)) == 0
