"""Weights of the golden networks as files, and images through an exported file."""

import pytest
import torch
from mmengine.registry import init_default_scope

from tests.support.golden_files import MANIFEST
from tests.support.golden_networks import GoldenNetwork
from tests.support.tool_modules import load_tool

MOBILENET = """
default_scope = "mmseg"
model = dict(
    type="EncoderDecoder",
    data_preprocessor=dict(
        type="SegDataPreProcessor",
        mean=[127.5, 127.5, 127.5],
        std=[127.5, 127.5, 127.5],
        bgr_to_rgb=True,
        test_cfg=dict(size=(65, 97)),
    ),
    backbone=dict(type="mmseg_deeplab_ext.MobileNetV2"),
    decode_head=dict(
        type="mmseg_deeplab_ext.DeepLabV3PlusHead",
        in_channels=320,
        channels=256,
        num_classes=21,
        dilations=(1, 6, 12, 18),
        c1_in_channels=144,
    ),
    test_cfg=dict(mode="whole"),
)
"""
# As in stock configs: a crop for the training, and an evaluation that does not pad.
NO_PADDING = 'model["data_preprocessor"].update(size=(65, 97), seg_pad_val=255, test_cfg=None)\n'


def files_beside(path):
    """The names of all files in its folder."""
    return sorted(each.name for each in path.parent.iterdir())


@pytest.fixture(scope="session", autouse=True)
def _default_scope():
    """As the tools set it: configs name MMSegmentation's classes without a prefix."""
    init_default_scope("mmseg")


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """Write the deterministic weights of a golden file's network, once for each."""
    folder, written = tmp_path_factory.mktemp("weights"), {}

    def write(name, options):
        if name not in written:
            written[name] = folder / f"{name}.pth"
            state = GoldenNetwork({**options, "mode": "network"}).state_dict()
            torch.save({"state_dict": state, "meta": {}}, written[name])
        return written[name]

    return write


@pytest.fixture(scope="session")
def onnx():
    """The package; imported here, so that the other tests run without it."""
    import onnx

    return onnx


@pytest.fixture(scope="session")
def run():
    """Run a file on an RGB image [H, W, 3]; returns its outputs by name."""
    import onnxruntime

    def outputs(path, image):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what fails is raised
        session = onnxruntime.InferenceSession(str(path), options)
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(None, {"ImageTensor": image[None]})))

    return outputs


@pytest.fixture(scope="session")
def tool():
    main = load_tool("export").main
    return lambda *arguments: main([str(argument) for argument in arguments])


@pytest.fixture
def config(tmp_path):
    """Write a config; further lines come at its end."""

    def write(*lines, text=MOBILENET):
        path = tmp_path / "config.py"
        path.write_text("".join([text, *lines]))
        return path

    return write


@pytest.fixture(scope="session")
def checkpoint(weights):
    name = "mnv2_v3plus_os16_65x97"
    return weights(name, MANIFEST["networks"][name]["options"])


@pytest.fixture
def out(tmp_path):
    """A file to write, in a folder with nothing else."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "model.onnx"
