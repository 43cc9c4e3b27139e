"""Networks of timm and torchvision made dense; `make test-classifiers` installs the two."""

from __future__ import annotations

import os

import pytest
import torch
from mmseg.registry import MODELS
from mmseg.utils import register_all_modules

from mmseg_deeplab_ext.__main__ import main
from mmseg_deeplab_ext.backbones.classifiers import build_network
from mmseg_deeplab_ext.errors import ConfigError
from tests.support.dense_proof import lively, proof_of
from tests.test_tools.test_atrous_configs import run_config

if "DEEPLAB_CLASSIFIERS" not in os.environ:
    pytest.skip("needs timm and torchvision: make test-classifiers", allow_module_level=True)

register_all_modules()
NETWORKS = {
    "plain": "torchvision/resnet18",
    "bottleneck": "timm/resnet26",
    "average shortcut": "timm/resnet26d",
    "pre-activation": "timm/resnetv2_18",
    "ResNeXt": "timm/resnext26ts",
    "MobileNetV2": "torchvision/mobilenet_v2",
    "MobileNetV3": "torchvision/mobilenet_v3_small",
    "EfficientNet": "timm/efficientnet_lite0",
    "EfficientNet, TensorFlow's padding": "timm/tf_efficientnet_b0",
    "MobileNetV3, TensorFlow's padding": "timm/tf_mobilenetv3_small_100",
    "VGG": "torchvision/vgg11_bn",
    "DenseNet": "torchvision/densenet121",
    "Xception": "timm/legacy_xception",
    "RegNet": "torchvision/regnet_x_400mf",
    "RegNet, gated": "timm/regnety_002",
    "ShuffleNet": "torchvision/shufflenet_v2_x0_5",
    "GoogLeNet": "torchvision/googlenet",
    "ConvNeXt": "timm/convnext_atto",
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_dense_maps_subsampled_equal_the_originals(name):
    torch.manual_seed(0)
    arguments = {"init_weights": True} if name == "GoogLeNet" else {}
    network = lively(build_network(NETWORKS[name], arguments))
    proof, plan = proof_of(network, 8, image_size=(33, 65))
    assert plan.changes
    assert proof.same_weights
    assert max(proof.errors.values()) < 1e-9


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ("timm/vit_tiny_patch16_224", "at stride 16|strides 16"),
        (
            "timm/swin_tiny_patch4_window7_224",
            r"layers\.2\.downsample\.norm makes channels of positions, at stride 16",
        ),
        ("timm/hrnet_w18_small", r"stage3.*resizes maps \(upsample_nearest2d\), at stride 16"),
        ("torchvision/inception_v3", "Mixed_6a .*3x3 window with stride 2"),
    ],
)
def test_what_stands_in_the_way_is_named(network, message):
    with pytest.raises(ConfigError, match=message):
        proof_of(build_network(network), 8, image_size=None)


def test_an_unknown_name_is_an_error_that_says_where_the_names_are():
    for library in ("timm", "torchvision"):
        with pytest.raises(ConfigError, match=f"{library} has no network 'resnet': {library}"):
            build_network(f"{library}/resnet")


def test_the_command_proves_a_network_by_its_name(capsys):
    arguments = ["--output-stride", "8", "--image-size", "33", "65", "--verify"]
    assert main(["atrous", "timm/tf_mobilenetv3_small_100", *arguments]) == 0
    said = capsys.readouterr().out
    assert "With means over all positions" in said
    assert said.endswith("Proved: no difference above 1e-09 of the largest value.\n")


@pytest.mark.parametrize("with_cp", [False, True])
def test_a_network_of_timm_trains_and_all_its_weights_get_gradients(with_cp):
    backbone = MODELS.build(
        dict(
            type="mmseg_deeplab_ext.AtrousBackbone", network="timm/resnet18", output_stride=8,
            with_cp=with_cp, image_size=(33, 65),
        )
    )  # fmt: skip
    maps = backbone.train()(torch.randn(2, 3, 33, 65))
    assert [tuple(each.shape[1:]) for each in maps] == [
        (64, 9, 17), (128, 5, 9), (256, 5, 9), (512, 5, 9)
    ]  # fmt: skip
    sum(each.square().mean() for each in maps).backward()
    assert all(each.grad is not None for each in backbone.parameters())


def test_timms_example_config_trains_evaluates_and_exports(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = "configs/atrous/deeplabv3plus_timmeffb0-d16_b16-30k_voc12-513x513.py"
    labels = run_config(path, {}, tmp_path)
    assert labels.shape[1:3] == (65, 65)
