"""Segmentors of the repository's configs, with the weights of a golden file."""

import copy
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from tests.support.golden_networks import GoldenNetwork

CONFIGS = Path(__file__).parents[2] / "configs"


def segmentor_of(options, config):
    """The segmentor of a config file, with the golden file's weights and crop."""
    model = copy.deepcopy(Config.fromfile(CONFIGS / config).model)
    model.data_preprocessor.test_cfg.size = tuple(options["crop_size"])
    segmentor = MODELS.build(model)
    state = GoldenNetwork({**options, "mode": "network"}).state_dict()
    segmentor.load_state_dict(state, strict=True)
    return segmentor.eval()


def batch_of(image):
    """What the test pipeline packs for an RGB image [H, W, 3]."""
    size = image.shape[:2]
    sample = SegDataSample(metainfo=dict(ori_shape=size, img_shape=size, img_path="image.png"))
    bgr = torch.from_numpy(np.ascontiguousarray(image[..., ::-1].transpose(2, 0, 1)))
    return dict(inputs=[bgr], data_samples=[sample])
