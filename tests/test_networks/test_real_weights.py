"""Google's trained MobileNetV2, converted, predicts what it predicts in TensorFlow.

The weights, photographs and TensorFlow's outputs lie beside the project, not in it: without them
(``DEEPLAB_REAL`` names another folder) these tests skip.
"""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from mmseg.utils import register_all_modules
from PIL import Image

from tests.support.tool_modules import load_tool
from tests.support.voc_layout import write_list
from tests.test_tools.conftest import scalars

REAL = Path(os.environ.get("DEEPLAB_REAL", Path(__file__).parents[3] / "shared" / "real"))
WEIGHTS = REAL / "mobilenet_v2_dm05_voc" / "model.ckpt"
IMAGES = [
    "coral_bird_segmentation",
    "coral_dog_segmentation_256",
    "g3doc_image2",
    "g3doc_image3",
]
TOLERANCE = 1e-5  # share of max|reference|

pytestmark = pytest.mark.skipif(
    not WEIGHTS.with_name("model.ckpt.index").exists(), reason=f"no trained weights in {REAL}"
)


def convert(folder, *arguments):
    """Convert the checkpoint with a config; returns the paths of the .pth and of the config."""
    outputs = folder / "mobilenet.pth", folder / "mobilenet.py"
    main = load_tool("model_converters/tf2mmseg").main
    main([str(a) for a in (WEIGHTS, outputs[0], "--config-out", outputs[1], *arguments)])
    return outputs


def load_network(weights, config):
    register_all_modules()
    network = MODELS.build(Config.fromfile(config).model).eval()
    state_dict = torch.load(weights, weights_only=True)["state_dict"]
    missing, unexpected = network.load_state_dict(state_dict, strict=False)
    assert all(name.endswith("num_batches_tracked") for name in missing)
    assert not unexpected
    return network


@torch.no_grad()
def run(network, image):
    """Logits, predictions over the padded crop, and where the top two logits differ clearly.

    Args:
        network: segmentor.
        image: uint8 RGB [height, width, 3].
    """
    bgr = torch.from_numpy(image[..., ::-1].transpose(2, 0, 1).copy())
    sample = SegDataSample(metainfo=dict(img_shape=image.shape[:2]))
    data = network.data_preprocessor(dict(inputs=[bgr], data_samples=[sample]), training=False)
    logits = network.decode_head(network.backbone(data["inputs"]))
    size = tuple(data["inputs"].shape[-2:])
    upsampled = network.encode_decode(data["inputs"], [dict(img_shape=size)])[0]
    top = upsampled.topk(2, dim=0).values
    clear = (top[0] - top[1] > TOLERANCE * logits.abs().max()).numpy()
    assert clear.mean() > 0.999
    return logits[0].numpy().transpose(1, 2, 0), upsampled.argmax(dim=0).numpy(), clear


@pytest.fixture(scope="module")
def at_stride_8(tmp_path_factory):
    arguments = ("--output-stride", 8, "--crop-size", 257, 257)
    return load_network(*convert(tmp_path_factory.mktemp("stride8"), *arguments))


@pytest.mark.parametrize("name", IMAGES)
def test_logits_and_predictions_on_photographs_are_tensorflows(at_stride_8, name):
    with np.load(REAL / "expected" / f"mobilenet_v2_dm05_voc__{name}.npz") as expected:
        logits, prediction, clear = run(at_stride_8, expected["image"])
        reference = expected["logits"][0]
        assert logits.shape == reference.shape
        assert np.abs(logits - reference).max() <= TOLERANCE * np.abs(reference).max()
        assert np.array_equal(prediction[clear], expected["prediction"][0][clear])


def write_voc5(root):
    """Arrange the five images as Pascal VOC; a PNG image may be called .jpg, it is decoded as PNG.

    Returns:
        Names of the images that are PNG files.
    """
    names, png = [], []
    for folder in ("JPEGImages", "SegmentationClass"):
        (root / folder).mkdir(parents=True)
    for label in sorted((REAL / "voc5").glob("*_label.png")):
        name = label.name.replace("_label.png", "")
        names.append(name)
        (image,) = (REAL / "voc5").glob(f"{name}.*")
        if image.suffix == ".png":
            png.append(name)
        (root / "JPEGImages" / f"{name}.jpg").symlink_to(image)
        (root / "SegmentationClass" / f"{name}.png").symlink_to(label)
    write_list(root, "val", names)
    return png


@pytest.mark.slow
def test_the_evaluation_tool_gives_the_official_score_and_the_official_predictions(
    tmp_path, monkeypatch
):
    weights, config = convert(tmp_path)
    png = write_voc5(tmp_path / "voc5")
    assert len(png) == 3
    data = [
        f"{loader}.dataset.data_root={tmp_path / 'voc5'}"
        for loader in ("val_dataloader", "test_dataloader")
    ]
    monkeypatch.chdir(tmp_path)
    outputs = ("--out", "labels", "--work-dir", "work")
    load_tool("test").main([str(config), str(weights), *outputs, "--cfg-options", *data])
    expected = np.load(REAL / "expected" / "voc5_os16.npz")
    (miou,) = scalars(tmp_path / "work", "mIoU")
    # JPEG decoders differ by up to 15 grey levels, which moves the borders of objects.
    assert miou / 100 == pytest.approx(float(expected["miou"]), abs=0.003)
    network = load_network(weights, config)
    for name in png:
        written = np.array(Image.open(tmp_path / "labels" / f"{name}.png"))
        height, width = written.shape
        image = np.array(Image.open(REAL / "voc5" / f"{name}.png"))
        clear = run(network, image)[2][:height, :width]
        reference = expected[f"pred/{name}"][:height, :width]
        assert np.array_equal(written[clear], reference[clear]), name
