"""Exported files give what the official export's graphs and networks give."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from mmseg_deeplab_ext.export.onnx_file import PREDICTIONS, PROBABILITIES
from tests.data.make_export_goldens import sample
from tests.support.deterministic import make_image
from tests.support.golden_files import DATA, FULL, MANIFEST, reduced
from tests.support.segmentors import CONFIGS
from tests.support.tool_modules import load_tool

ARRAYS = dict(np.load(DATA / "export_goldens.npz"))
EXPORTS = sorted(key.partition(":")[0] for key in ARRAYS if key.endswith(":options"))
RESNET_18 = CONFIGS / "deeplabv3plus/deeplabv3plus_r18beta-d16_b16-30k_voc12-513x513.py"
RESNET_50 = CONFIGS / "deeplabv3plus/deeplabv3plus_r50beta-d16_b16-30k_voc12-513x513.py"
MOBILENET = CONFIGS / "deeplabv3/deeplabv3_mnv2-d16_b16-30k_voc12aug-513x513.py"
# Non-beta: the stem, and means that are subtracted.
PLAIN_RESNET = [
    "model.backbone.type=mmseg_deeplab_ext.ResNetV1",
    "model.data_preprocessor.mean=[123.15,115.9,103.06]",
    "model.data_preprocessor.std=[1,1,1]",
]
# The images that a dynamic file is verified with are of about this size.
SMALL = ["model.data_preprocessor.test_cfg.size=(33,49)"]
OUTPUT_STRIDE_8 = ["model.backbone.output_stride=8", "model.decode_head.dilations=(1,12,24,36)"]
# Google's trained weights and photographs; beside the project, not in it.
REAL = Path(os.environ.get("DEEPLAB_REAL", FULL.parent / "real"))
TRAINED = REAL / "mobilenet_v2_dm05_voc" / "model.ckpt"
HALF_WIDTH = ["model.backbone.widen_factor=0.5", "model.decode_head.in_channels=160"]


@pytest.fixture(scope="module")
def export(onnx):
    main = load_tool("export").main
    return lambda *arguments: main([str(argument) for argument in arguments])


def assert_same_labels(found, expected, probabilities):
    """Demand the same label at every pixel whose two largest probabilities differ."""
    top = torch.from_numpy(probabilities).topk(2, dim=-1).values.numpy()
    clear = top[..., 0] - top[..., 1] > 1e-5
    assert clear.mean() > 0.99
    assert found.dtype == np.int64
    assert np.array_equal(found[clear], expected[clear])


@pytest.mark.parametrize("name", EXPORTS)
def test_a_file_with_a_fixed_crop_equals_the_official_export(name, export, weights, run, tmp_path):
    options = json.loads(str(ARRAYS[f"{name}:options"]))
    arguments = ["--crop-size", *options["crop_size"], "--probabilities"]
    for flag in ("min_resize_value", "max_resize_value", "resize_factor"):
        if flag in options:
            arguments += [f"--{flag.replace('_', '-')}", options[flag]]
    path = tmp_path / "model.onnx"
    export(RESNET_50, weights("r50b", options), path, *arguments)

    outputs = run(path, make_image(*options["image_size"], options["image_seed"]))
    labels, probabilities = outputs[PREDICTIONS], outputs[PROBABILITIES]
    assert_same_labels(labels, ARRAYS[f"{name}:{PREDICTIONS}"], probabilities)
    expected = ARRAYS[f"{name}:{PROBABILITIES}"]
    assert np.abs(sample(probabilities) - expected).max() <= 1e-5
    if (FULL / f"{name}.npz").exists():
        with np.load(FULL / f"{name}.npz") as full:
            assert np.abs(probabilities - full[PROBABILITIES]).max() <= 1e-5
            assert_same_labels(labels, full[PREDICTIONS], probabilities)


@pytest.mark.parametrize(
    ("config", "names", "arguments"),
    [
        (
            RESNET_50,
            ["r50b_v3plus_os16_cropNone_64x96", "r50b_v3plus_os16_cropNone_65x97"],
            ["--dynamic", "--cfg-options", *SMALL],
        ),
        (
            MOBILENET,
            ["mnv2_zoo_os16_64x96", "mnv2_zoo_os16_65x97"],
            ["--dynamic", "--cfg-options", *SMALL],
        ),
        (
            RESNET_18,
            ["r18b_v3plus_os16_padded_img49x70_crop65x97", "r18b_v3plus_os16_65x97"],
            ["--crop-size", 65, 97],
        ),
        (
            RESNET_18,
            ["r18_v3plus_os8_64x96"],
            ["--dynamic", "--cfg-options", *SMALL, *PLAIN_RESNET, *OUTPUT_STRIDE_8],
        ),
    ],
    ids=["r50b-dynamic", "mnv2-dynamic", "r18b-fixed", "r18-os8-dynamic"],
)
def test_one_file_equals_the_official_networks_at_every_size(
    config, names, arguments, export, weights, run, tmp_path
):
    networks = [MANIFEST["networks"][name]["options"] for name in names]
    path = tmp_path / "model.onnx"
    checkpoint = weights(networks[0]["model_variant"], networks[0])
    export(config, checkpoint, path, "--probabilities", *arguments)
    for name, options in zip(names, networks):
        height, width = options["image_size"]
        outputs = run(path, make_image(height, width, options["image_seed"]))
        expected = reduced(name)["prediction"][:, :height, :width]
        assert_same_labels(outputs[PREDICTIONS], expected, outputs[PROBABILITIES])


@pytest.mark.skipif(
    not TRAINED.with_name("model.ckpt.index").exists(), reason=f"no trained weights in {REAL}"
)
def test_trained_weights_label_photographs_as_the_official_graph_does(export, run, tmp_path):
    path = tmp_path / "model.onnx"
    stride = "model.backbone.output_stride=8"
    arguments = ["--crop-size", 257, 257, "--probabilities", "--cfg-options", *HALF_WIDTH, stride]
    export(MOBILENET, f"tf://{TRAINED}", path, *arguments)
    files = sorted((REAL / "expected").glob("mobilenet_v2_dm05_voc__*.npz"))
    assert len(files) == 4
    for file in files:
        with np.load(file) as arrays:
            image, prediction = arrays["image"], arrays["prediction"].reshape(1, 257, 257)
        height, width = image.shape[:2]
        outputs = run(path, image)
        labels = outputs[PREDICTIONS]
        assert len(np.unique(labels)) > 1
        assert_same_labels(labels, prediction[:, :height, :width], outputs[PROBABILITIES])
