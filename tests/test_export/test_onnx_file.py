"""tools/export.py: the interface of the file and what it computes."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS

from mmseg_deeplab_ext.conversion.to_tensorflow import export_checkpoint
from mmseg_deeplab_ext.export import Exported, ResizeRange
from tests.support.deterministic import make_image
from tests.support.golden_files import MANIFEST
from tests.support.segmentors import batch_of
from tests.support.tool_modules import load_tool
from tests.test_export.conftest import MOBILENET, NO_PADDING, files_beside

RESNET = MOBILENET.replace('MobileNetV2"', 'ResNetV1Beta", depth=18, multi_grid=(1, 2)')
RESNET = RESNET.replace("=320", "=512").replace("=144", "=64")
MOBILENET_V3 = MOBILENET.replace('NetV2"', 'NetV3", arch="small", output_stride=16')
MOBILENET_V3 = MOBILENET_V3.replace("=320", "=288").replace("=144", "=16")
EDGETPU = MOBILENET.replace('MobileNetV2"', 'MobileNetEdgeTPU", widen_factor=0.75')
EDGETPU = EDGETPU.replace("=320", "=960").replace("=256", "=128").replace("(1, 6, 12, 18)", "(1,)")
EDGETPU = EDGETPU.replace("num_classes=21", "num_classes=19").replace("c1_in_channels=144,", "")

RATES = "dilations=(1, 6, 12, 18)"
CELL = RESNET.replace(RATES, 'dense_prediction_cell="branch5_top1_cityscapes"')
CELL_OPTIONS = dict(dense_prediction_cell_json="dense_prediction_cell_branch5_top1_cityscapes.json")
# As the published MobileNetV3 models have it.
GATED = (
    RESNET.replace(RATES, "dilations=(1,)").replace("=256", "=21").replace("=64", "=128")
    + """
model["decode_head"].update(
    aspp_channels=64, aspp_squeeze_excite="qsigmoid", aspp_projection=False, c1_in_index=1,
    image_pooling=dict(crop_size=(33, 65), output_stride=16, stride=(1, 2)),
    decoder_sum_merge=True, decoder_logits=True,
)
"""
)
GATED_OPTIONS = dict(
    atrous_rates=None, aspp_convs_filters=64, aspp_with_squeeze_and_excitation=True,
    image_se_uses_qsigmoid=True, aspp_with_concat_projection=False, decoder_output_stride=[8],
    decoder_filters=21, decoder_use_sum_merge=True, decoder_output_is_logits=True,
)  # fmt: skip

CONFIGS = {
    "mnv2": ("mnv2_v3plus_os16_65x97", MOBILENET, {}),
    "mnv3": ("mnv3_small_v3plus_os16_64x96", MOBILENET_V3, {}),
    "edgetpu": ("edgetpu_slim_os16_129x129", EDGETPU, {}),
    "r18b": ("r18b_v3plus_os16_65x97", RESNET, {}),
    "no-padding": ("mnv2_v3plus_os16_65x97", MOBILENET + NO_PADDING, {}),
    "cell": ("r18b_v3plus_os16_65x97", CELL, CELL_OPTIONS),
    "gated": ("r18b_v3plus_os16_65x97", GATED, GATED_OPTIONS),
}


@pytest.mark.parametrize(("name", "text", "options"), CONFIGS.values(), ids=list(CONFIGS))
def test_the_file_gives_the_labels_of_mmsegmentations_own_prediction(
    name, text, options, tool, config, weights, run, out
):
    path = config(text=text)
    key = "-".join([name, *options][:2])
    pth = weights(key, {**MANIFEST["networks"][name]["options"], **options})
    tool(path, pth, out, "--probabilities")
    segmentor = MODELS.build(Config.fromfile(path).model).eval()
    segmentor.load_state_dict(torch.load(pth)["state_dict"])
    for size in ((65, 97), (50, 64)):
        image = make_image(*size, seed=3)
        outputs = run(out, image)
        with torch.no_grad():
            (sample,) = segmentor.test_step(batch_of(image))
        logits = sample.seg_logits.data
        top = logits.topk(2, dim=0).values
        clear = (top[0] - top[1] > 1e-5 * logits.abs().max()).numpy()
        assert clear.mean() > 0.99
        labels = sample.pred_sem_seg.data.numpy()
        assert np.array_equal(outputs["SemanticPredictions"][0][clear], labels[0][clear])
        probabilities = logits.softmax(dim=0).permute(1, 2, 0).numpy()
        assert np.abs(outputs["SemanticProbabilities"][0] - probabilities).max() < 1e-5


@pytest.mark.parametrize(
    ("arguments", "outputs"),
    [
        ([], {"SemanticPredictions": ("INT64", [1, "height", "width"])}),
        (
            ["--dynamic", "--probabilities"],
            {
                "SemanticPredictions": ("INT64", [1, "height", "width"]),
                "SemanticProbabilities": ("FLOAT", [1, "height", "width", 21]),
            },
        ),
    ],
)
def test_the_file_has_the_official_interface_and_no_batch_norm(
    arguments, outputs, tool, config, checkpoint, onnx, out, capsys
):
    tool(config(), checkpoint, out, *arguments)
    assert f"{out}: written\n" in capsys.readouterr().out
    assert files_beside(out) == ["model.onnx"]
    graph = onnx.load(str(out)).graph

    def described(values):
        return {
            value.name: (
                onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type),
                [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim],
            )
            for value in values
        }

    assert described(graph.input) == {"ImageTensor": ("UINT8", [1, "height", "width", 3])}
    assert described(graph.output) == outputs
    assert "BatchNormalization" not in {node.op_type for node in graph.node}


def test_an_image_larger_than_the_crop_fails(tool, config, checkpoint, run, out):
    tool(config(), checkpoint, out)
    for size in ((66, 97), (65, 98), (130, 20), (1, 97 * 65)):
        with pytest.raises(Exception, match="cannot be reshaped"):
            run(out, make_image(*size))


def test_images_are_resized_first_where_that_is_wanted(tool, config, checkpoint, run, out):
    arguments = ["--min-resize-value", 65, "--max-resize-value", 97, "--resize-factor", 16]
    tool(config(), checkpoint, out, *arguments)
    labels = run(out, make_image(390, 582))["SemanticPredictions"]
    assert labels.shape == (1, 390, 582)
    # Six rows (and columns) of the answer come from one of the network's.
    assert (labels[:, 1:] != labels[:, :-1]).any(axis=2).sum() <= 65


@pytest.mark.parametrize(
    ("crop", "size", "lines"),
    [
        ((65, 97), 97, ["the resized images are padded to 65 x 97; larger ones fail"]),
        ((97, 97), 97, ["the resized images are padded to 97 x 97"]),
        (None, 97, ["the resized images run at their own size"]),
        ((65, 97), None, ["images are padded to 65 x 97; larger ones fail"]),
        (None, None, ["images run at their own size"]),
    ],
)
def test_what_is_printed_tells_which_images_fail(crop, size, lines):
    resize = size and ResizeRange(65, size)
    if resize:
        lines = [f"every image is resized first, {resize}", *lines]
    assert load_tool("export")._lines(Exported(crop, [], resize, [])) == lines


def test_an_image_whose_side_vanishes_on_resizing_keeps_one_pixel(
    tool, config, checkpoint, run, out
):
    tool(config(), checkpoint, out, "--min-resize-value", 65, "--max-resize-value", 65)
    for size in ((1, 200), (200, 3)):
        assert run(out, make_image(*size))["SemanticPredictions"].shape == (1, *size)


def test_weights_of_tensorflow_are_exported_as_well(tool, config, checkpoint, run, out, tmp_path):
    cfg = config()
    export_checkpoint(Config.fromfile(cfg), str(checkpoint), tmp_path / "model.ckpt")
    image = make_image(50, 64)
    labels = []
    for source in (checkpoint, f"tf://{tmp_path / 'model.ckpt'}"):
        tool(cfg, source, out, "--force")
        labels.append(run(out, image)["SemanticPredictions"])
    assert np.array_equal(*labels)


STOCK = """
model["backbone"] = dict(type="ResNetV1c", depth=18, norm_cfg=dict(type="SyncBN"))
model["decode_head"] = dict(
    type="FCNHead", in_channels=512, in_index=3, channels=64, num_classes=5, align_corners=False
)
model["auxiliary_head"] = dict(
    type="FCNHead", in_channels=256, in_index=2, channels=8, num_classes=5
)
model["test_cfg"] = dict(mode="slide", crop_size=(65, 65), stride=(33, 33))
"""


def test_a_network_of_mmsegmentations_own_is_exported_without_what_only_the_training_uses(
    tool, config, run, out, tmp_path, capsys
):
    cfg = config(STOCK)
    model = MODELS.build(Config.fromfile(cfg).model)
    model.init_weights()
    torch.save(model.state_dict(), tmp_path / "model.pth")
    tool(cfg, tmp_path / "model.pth", out, "--dynamic")
    assert "note: the config predicts from sliding windows" in capsys.readouterr().out
    assert run(out, make_image(40, 51))["SemanticPredictions"].shape == (1, 40, 51)
