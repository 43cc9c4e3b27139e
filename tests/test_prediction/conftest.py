"""A tiny network and the tool that predicts with it."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmseg.apis import init_model
from PIL import Image

from mmseg_deeplab_ext.plugins import load_plugins
from tests.support.tool_modules import load_tool

CONFIG = """
model = dict(
    type="EncoderDecoder",
    data_preprocessor=dict(type="SegDataPreProcessor", mean=[127.5] * 3, std=[127.5] * 3),
    backbone=dict(type="mmseg_deeplab_ext.MobileNetV2", widen_factor=0.25),
    decode_head=dict(
        type="mmseg_deeplab_ext.DeepLabV3PlusHead",
        in_channels=80,
        channels=8,
        dilations=(1,),
        # Images of fewer than 17 pixels are smaller than this window.
        image_pooling=dict(crop_size=(17, 17), output_stride=16),
        num_classes=3,
    ),
    test_cfg=dict(mode="whole", crop_size=(33, 33)),
)
test_pipeline = [dict(type="LoadImageFromFile"), dict(type="PackSegInputs")]
"""


@pytest.fixture(scope="session")
def net(tmp_path_factory):
    """A config and the checkpoint of its network, with random weights."""
    folder = tmp_path_factory.mktemp("tiny")
    config, pth = folder / "tiny.py", folder / "tiny.pth"
    config.write_text(CONFIG)
    load_plugins()
    torch.save({"state_dict": init_model(str(config), device="cpu").state_dict()}, pth)
    return SimpleNamespace(config=config, pth=pth)


@pytest.fixture(scope="session")
def main():
    """The tool's function, which takes a command line."""
    return load_tool("predict").main


@pytest.fixture
def save_image():
    """Write an image of noise, square unless a height is given."""

    def save(path, width=20, height=None):
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (height or width, width, 3)
        noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        Image.fromarray(noise).save(path)
        return path

    return save
