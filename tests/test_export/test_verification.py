"""A file that does not compute what PyTorch does is found and not left behind."""

import pytest
import torch
from mmengine.config import Config

from mmseg_deeplab_ext.export import ExportError, export_onnx, onnx_file, tracing
from mmseg_deeplab_ext.export.verification import random_image
from mmseg_deeplab_ext.inference import folding
from tests.test_export.conftest import files_beside


def wrong_weights(graph, run):
    """A conversion that breaks what it converts."""
    network = folding.folded(graph, run)
    with torch.no_grad():
        network.segmentor.decode_head.conv_seg.weight.neg_()
    return network


@pytest.mark.parametrize("probabilities", [False, True])
def test_a_file_that_differs_from_pytorch_is_not_left_behind(
    probabilities, config, checkpoint, onnx, out, monkeypatch
):
    monkeypatch.setattr(onnx_file, "folded", wrong_weights)
    cfg = Config.fromfile(config())
    for before in ([], ["model.onnx"]):
        with pytest.raises(ExportError, match=r"labels \d+\.\d+% of the pixels differently"):
            export_onnx(
                cfg, str(checkpoint), out, probabilities=probabilities, overwrite=bool(before)
            )
        assert files_beside(out) == before
        out.write_bytes(b"mine")
    assert out.read_bytes() == b"mine"


def test_a_mistake_in_a_class_that_the_images_do_not_show_is_found(
    config, checkpoint, onnx, out, monkeypatch
):
    def wrong_bias(graph, run):
        network = folding.folded(graph, run)
        with torch.no_grad():
            images = [torch.from_numpy(random_image(*size)) for size in ((48, 64), (65, 97))]
            shown = {label for image in images for label in network(image)[0].unique().tolist()}
            network.segmentor.decode_head.conv_seg.bias[min(set(range(21)) - shown)] -= 2
        return network

    monkeypatch.setattr(onnx_file, "folded", wrong_bias)
    with pytest.raises(ExportError, match="the file's logits differ from PyTorch's by up to 2.0e"):
        export_onnx(Config.fromfile(config()), str(checkpoint), out)
    assert files_beside(out) == []


def test_classes_that_are_seldom_clear_are_said(
    tool, config, checkpoint, onnx, out, tmp_path, capsys
):
    state = torch.load(checkpoint)["state_dict"]
    state["decode_head.conv_seg.weight"].zero_()
    state["decode_head.conv_seg.bias"].zero_()
    torch.save(state, tmp_path / "untrained.pth")
    tool(config(), tmp_path / "untrained.pth", out)
    said = "verified on 65 x 97: 0 labels differ; only 0% of the pixels have a clear class\n"
    assert capsys.readouterr().out.endswith(said)


def test_a_padding_that_stayed_that_of_the_traced_image_is_found(
    config, checkpoint, onnx, out, monkeypatch
):
    monkeypatch.setattr(tracing, "_TracedSameConv2d", lambda conv: conv)
    with pytest.raises(ExportError):
        export_onnx(Config.fromfile(config()), str(checkpoint), out, dynamic=True)
    assert files_beside(out) == []


def test_weights_whose_logits_are_not_finite_are_refused(config, checkpoint, onnx, out, tmp_path):
    state = torch.load(checkpoint)["state_dict"]
    state["decode_head.conv_seg.weight"][3] = 3e38
    torch.save(state, tmp_path / "broken.pth")
    with pytest.raises(ExportError, match="logits are not finite"):
        export_onnx(Config.fromfile(config()), str(tmp_path / "broken.pth"), out)
    assert files_beside(out) == []
