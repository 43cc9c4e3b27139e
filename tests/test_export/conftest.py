"""Weights of the golden networks as files, and images through an exported file."""

import pytest
import torch
from mmengine.registry import init_default_scope

from tests.support.golden_networks import GoldenNetwork

REASON = "needs onnx and onnxruntime: pip install onnx onnxruntime"


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
    return pytest.importorskip("onnx", reason=REASON)


@pytest.fixture(scope="session")
def run(onnx):
    """Run a file on an RGB image [H, W, 3]; returns its outputs by name."""
    runtime = pytest.importorskip("onnxruntime", reason=REASON)

    def outputs(path, image):
        options = runtime.SessionOptions()
        options.log_severity_level = 4  # what fails is raised
        session = runtime.InferenceSession(str(path), options)
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(None, {"ImageTensor": image[None]})))

    return outputs
