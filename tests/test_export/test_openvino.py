"""Exported files give in OpenVINO what they give in onnxruntime."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from mmseg_deeplab_ext.export.onnx_file import OPSET, PREDICTIONS, PROBABILITIES
from mmseg_deeplab_ext.layers.nearest_resize import resize_nearest
from mmseg_deeplab_ext.layers.resize_range import ResizeRange
from tests.support.deterministic import make_image
from tests.support.openvino_peer import PYTHON, run_with_openvino
from tests.support.processes import run_command
from tests.test_export.test_documentation import IN_OPENVINO

pytestmark = [
    pytest.mark.openvino,
    pytest.mark.skipif(not PYTHON, reason="DEEPLAB_OPENVINO_PYTHON names no Python with OpenVINO"),
]
SMALL = [(65, 97), (48, 64), (33, 90)]
LARGE = [(64, 96), (66, 130), (300, 420), (37, 31)]


def limits(shorter, longer, *factor):
    values = ["--min-resize-value", shorter, "--max-resize-value", longer]
    return [*values, *(["--resize-factor", *factor] if factor else [])]


@pytest.mark.parametrize(
    ("arguments", "sizes"),
    [
        ([], SMALL),
        (["--dynamic"], SMALL + LARGE),
        (["--crop-size", 97, 97, *limits(65, 97)], SMALL + LARGE),
        (["--dynamic", *limits(65, 97, 16)], SMALL + LARGE),
    ],
    ids=["fixed", "dynamic", "resizing", "dynamic-resizing"],
)
def test_every_clear_pixel_has_the_same_label(arguments, sizes, tool, config, checkpoint, run, out):
    tool(config(), checkpoint, out, "--probabilities", *arguments)
    images = {f"{h} x {w}": make_image(h, w, seed=5) for h, w in sizes}
    found = run_with_openvino(out, {name: image[None] for name, image in images.items()})
    for name, image in images.items():
        expected = run(out, image)
        probabilities = expected[PROBABILITIES]
        assert np.abs(found[name][PROBABILITIES] - probabilities).max() < 1e-5, name
        top = np.partition(probabilities, -2, axis=-1)[..., -2:]
        clear = top[..., 1] - top[..., 0] > 1e-5
        assert clear.mean() > 0.95
        differing = found[name][PREDICTIONS] != expected[PREDICTIONS]
        assert not (differing & clear).any(), name


def test_the_documented_program_labels_an_image(tool, config, checkpoint, tmp_path):
    tool(config(), checkpoint, tmp_path / "deeplab.onnx")
    before = "import numpy as np; image = np.zeros((50, 60, 3), np.uint8)\n"
    program = f"{before}{IN_OPENVINO}\nprint(labels.dtype, labels.shape)"
    process = run_command(PYTHON, "-c", program, cwd=tmp_path)
    assert process.stdout == "int64 (1, 50, 60)\n"


class ThereAndBack(nn.Module):
    """The rows and columns that an image and its answer take from one another, and the size."""

    def forward(self, image):
        sides = torch.stack([torch.as_tensor(side) for side in image.shape[1:3]])
        size = ResizeRange(257, 257).size(sides)
        resized = resize_nearest(image[..., 0].to(torch.int64), size.unbind())
        return size, resized, resize_nearest(resized, image.shape[1:3])


def test_sizes_and_neighbours_are_the_same_for_any_image(run, tmp_path):
    path = tmp_path / "there_and_back.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            ThereAndBack(),
            (torch.zeros(1, 30, 42, 3, dtype=torch.uint8),),
            str(path),
            input_names=["ImageTensor"],
            output_names=["size", "resized", "returned"],
            dynamic_axes={"ImageTensor": {1: "height", 2: "width"}},
            opset_version=OPSET,
            dynamo=False,
        )
    random = np.random.default_rng(0)
    images = {}
    for height, width in random.integers(1, 900, (60, 2)).tolist():
        images[f"{height} x {width}"] = random.integers(0, 256, (height, width, 3), np.uint8)
    found = run_with_openvino(path, {name: image[None] for name, image in images.items()})
    for name, image in images.items():
        for output, expected in run(path, image).items():
            assert np.array_equal(found[name][output], expected), (name, output)
