"""MobileNetV3 and EdgeTPU all the way: a checkpoint, its config, TensorFlow's logits, and back."""

import numpy as np
import pytest
import torch
from mmseg.apis import init_model

from mmseg_deeplab_ext.checkpoints import open_checkpoint
from mmseg_deeplab_ext.specs import MobileNetEdgeTPUSpec, MobileNetV3Spec
from mmseg_deeplab_ext.specs.deeplab_head import HeadSpec
from mmseg_deeplab_ext.specs.network import NetworkSpec
from tests.support.deterministic import make_image
from tests.support.golden_files import MANIFEST, full, reduced, relative_error
from tests.support.golden_networks import normalised
from tests.support.tf_files import head, head_with_logits_decoder, write_network
from tests.support.tool_modules import load_tool

NETWORKS = {
    "edgetpu_slim_os32_64x96": NetworkSpec(
        MobileNetEdgeTPUSpec(0.75),
        HeadSpec.of(in_channels=960, channels=128, num_classes=19, num_rates=0),
    ),
    "mnv3_large_zoo_64x96": NetworkSpec(
        MobileNetV3Spec("large"), head_with_logits_decoder(480, taps=[120])
    ),
    "mnv3_small_v3plus_os16_64x96": NetworkSpec(
        MobileNetV3Spec("small"), head(288, num_rates=3, taps=[16])
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_checkpoint_becomes_a_model_with_tensorflows_logits_and_comes_back(
    name, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    options = MANIFEST["networks"][name]["options"]
    values = write_network(tmp_path / "model.ckpt", NETWORKS[name])
    stride = str(options["output_stride"])
    load_tool("model_converters/tf2mmseg").main(
        ["model.ckpt", "out.pth", "--config-out", "out.py", "--output-stride", stride]
    )
    model = init_model("out.py", "out.pth", device="cpu")
    image = normalised(make_image(*options["image_size"], options["image_seed"]), options)
    if "image_pooling_crop_size" in options:  # which no variable tells
        pooling = model.decode_head.aspp.image_pooling
        pooling.crop_size = options["image_pooling_crop_size"]
        pooling.stride = options["image_pooling_stride"]
    with torch.no_grad():
        logits = model.decode_head(model.backbone(image))
    assert relative_error(name, "logits", logits, (reduced(name), full(name))) <= 1e-5

    load_tool("model_converters/mmseg2tf").main(["out.py", "out.pth", "back.ckpt"])
    with open_checkpoint(tmp_path / "back.ckpt") as back:
        assert {*back} == {*values}
        for variable, value in values.items():
            assert np.array_equal(back.read(variable), value), variable
