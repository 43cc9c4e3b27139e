"""tools/export.py: the interface of the file, that it is verified, and what is refused."""

import sys

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS

from mmseg_deeplab_ext.checkpoints.errors import CheckpointMismatchError
from mmseg_deeplab_ext.checkpoints.export import export_checkpoint
from mmseg_deeplab_ext.errors import ConfigError, EnvironmentNotReadyError
from mmseg_deeplab_ext.export import ExportError, ResizeRange, export_onnx, folding, onnx_file
from mmseg_deeplab_ext.export.graph import InferenceGraph
from tests.support.deterministic import make_image
from tests.support.golden_files import MANIFEST
from tests.support.segmentors import batch_of
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
RESNET = MOBILENET.replace('MobileNetV2"', 'ResNetV1Beta", depth=18, multi_grid=(1, 2)')
RESNET = RESNET.replace("=320", "=512").replace("=144", "=64")
CONFIGS = {"mnv2_v3plus_os16_65x97": MOBILENET, "r18b_v3plus_os16_65x97": RESNET}
NO_CROP = 'del model["data_preprocessor"]["test_cfg"]\n'


@pytest.fixture(scope="module")
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


def files_beside(path):
    return sorted(each.name for each in path.parent.iterdir())


@pytest.mark.parametrize("name", CONFIGS)
def test_the_file_gives_the_labels_of_mmsegmentations_own_prediction(
    name, tool, config, weights, run, out
):
    path = config(text=CONFIGS[name])
    pth = weights(name, MANIFEST["networks"][name]["options"])
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


PIPELINE = """
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="mmseg_deeplab_ext.ResizeToRange", scale=65, max_size=97, factor=16),
    dict(type="LoadAnnotations"),
    dict(type="PackSegInputs"),
]
"""


def test_images_are_resized_as_the_configs_test_pipeline_does(
    tool, config, checkpoint, run, out, capsys
):
    tool(config(PIPELINE), checkpoint, out, "--probabilities")
    assert "its shorter side to 65, its longer one to at most 97" in capsys.readouterr().out
    image = make_image(130, 150)
    found = run(out, image)
    arguments = ["--min-resize-value", 65, "--max-resize-value", 97, "--resize-factor", 16]
    tool(config(), checkpoint, out, "--force", "--probabilities", *arguments)
    for name, values in run(out, image).items():
        assert np.array_equal(values, found[name])


def test_a_step_of_the_test_pipeline_that_the_file_does_not_do_is_said(
    tool, config, checkpoint, onnx, out, capsys
):
    tool(config(PIPELINE), checkpoint, out, "--keep-size")
    assert (
        "note: the file does not do what the config's test pipeline does besides: ResizeToRange"
        in (capsys.readouterr().out)
    )
    stock = PIPELINE.replace("mmseg_deeplab_ext.ResizeToRange", "Resize")
    tool(config(stock), checkpoint, out, "--force")
    assert "besides: Resize" in capsys.readouterr().out


def test_the_crop_is_the_one_that_the_prediction_goes_by(config, checkpoint, onnx, out):
    sizes = 'model["data_preprocessor"].update(size=(49, 65), seg_pad_val=255)\n'
    cfg = Config.fromfile(config(NO_CROP, sizes))
    assert export_onnx(cfg, str(checkpoint), out).crop_size == (49, 65)


def test_what_is_seldom_meant_is_said_of_the_crop_in_use(
    tool, config, checkpoint, onnx, out, capsys
):
    stride = ["--cfg-options", "model.backbone.output_stride=8"]
    tool(config(), checkpoint, out, "--crop-size", 64, 64, *stride)
    printed = capsys.readouterr().out
    assert "dilations=(1, 12, 24, 36)" in printed
    assert "size=(64, 64) is not k * 8 + 1" in printed
    tool(config(), checkpoint, out, "--force")
    assert "note:" not in capsys.readouterr().out


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


def test_a_file_that_is_there_is_kept_unless_forced(tool, config, checkpoint, onnx, out):
    out.write_bytes(b"mine")
    with pytest.raises(ExportError, match="exists already; --force overwrites it"):
        tool(config(), checkpoint, out)
    assert out.read_bytes() == b"mine"
    tool(config(), checkpoint, out, "--force")
    onnx.checker.check_model(str(out))


def wrong_weights(graph):
    """A conversion that breaks what it converts."""
    network = folding.folded(graph)
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


def test_a_padding_that_stayed_that_of_the_traced_image_is_found(
    config, checkpoint, onnx, out, monkeypatch
):
    monkeypatch.setattr(folding, "_TracedSameConv2d", lambda conv: conv)
    with pytest.raises(ExportError):
        export_onnx(Config.fromfile(config()), str(checkpoint), out, dynamic=True)
    assert files_beside(out) == []


def test_weights_that_are_not_finite_are_refused(config, checkpoint, onnx, out, tmp_path):
    state = torch.load(checkpoint)["state_dict"]
    state["decode_head.conv_seg.weight"][3, 5] = float("nan")
    torch.save(state, tmp_path / "broken.pth")
    with pytest.raises(ExportError, match="logits are not finite"):
        export_onnx(Config.fromfile(config()), str(tmp_path / "broken.pth"), out)
    assert files_beside(out) == []


@pytest.mark.parametrize("missing", [["onnx"], ["onnxruntime"], ["onnx", "onnxruntime"]])
def test_a_missing_package_is_named_with_how_to_install_it(missing, config, out, monkeypatch):
    for name in ("onnx", "onnxruntime"):
        present = type(sys)(name)
        monkeypatch.setitem(sys.modules, name, None if name in missing else present)
    with pytest.raises(EnvironmentNotReadyError, match="pip install onnx onnxruntime") as caught:
        export_onnx(Config.fromfile(config()), "there_is_no_such_file.pth", out)
    for name, purpose in (("onnx", "writes the file"), ("onnxruntime", "runs it")):
        assert (f"{name}, which {purpose}" in str(caught.value)) == (name in missing)


@pytest.mark.parametrize(
    ("lines", "arguments", "error", "message"),
    [
        (NO_CROP, {}, ConfigError, "give --crop-size HEIGHT WIDTH, or --dynamic"),
        ("", {"crop_size": (65, 0)}, ConfigError, "crop_size=.65, 0. must be 2 whole numbers"),
        (
            "",
            {"resize": ResizeRange(66, 200)},
            ConfigError,
            "makes 66 x 98 of an image of 65 x 97, which is larger than the crop",
        ),
        (
            'model["decode_head"].update(num_classes=2, out_channels=1)\n',
            {},
            CheckpointMismatchError,
            "does not fit",
        ),
        (
            'model["data_preprocessor"] = dict(type="BaseDataPreprocessor")\n',
            {"dynamic": True},
            ConfigError,
            "data_preprocessor is a BaseDataPreprocessor",
        ),
    ],
    ids=["no-crop", "crop-of-0", "resized-too-large", "other-weights", "no-normalisation"],
)
def test_what_cannot_be_exported_is_refused_before_anything_is_written(
    lines, arguments, error, message, config, checkpoint, onnx, out
):
    with pytest.raises(error, match=message):
        export_onnx(Config.fromfile(config(lines)), str(checkpoint), out, **arguments)
    assert files_beside(out) == []


def test_places_that_cannot_be_written_are_refused(config, out):
    cfg = Config.fromfile(config())
    for path, message in (
        (out.parent / "none" / "model.onnx", "none does not exist; create it"),
        (out.parent, "is a folder, expected the name of a file"),
    ):
        with pytest.raises(ExportError, match=message):
            export_onnx(cfg, "there_is_no_such_file.pth", path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--crop-size", 65, 97, "--dynamic"], "not allowed with argument --crop-size"),
        (["--max-resize-value", 97], "need --min-resize-value"),
        (["--min-resize-value", 97, "--keep-size"], "not allowed with argument"),
    ],
)
def test_arguments_that_contradict_each_other_are_usage_errors(
    arguments, message, tool, out, capsys
):
    with pytest.raises(SystemExit):
        tool("config.py", "model.pth", out, *arguments)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            'model["decode_head"].update(num_classes=2, out_channels=1, threshold=0.5)\n',
            "out_channels=1: only heads with one channel per class",
        ),
        (
            'model.update(type="CascadeEncoderDecoder", num_stages=1)\n'
            'model["decode_head"] = [model["decode_head"]]\n',
            "CascadeEncoderDecoder whose decode_head is a ModuleList",
        ),
    ],
    ids=["sigmoid", "cascade"],
)
def test_segmentors_without_one_channel_per_class_are_refused(lines, message, config):
    segmentor = MODELS.build(Config.fromfile(config(lines)).model)
    with pytest.raises(ConfigError, match=message):
        InferenceGraph(segmentor, crop_size=None)


def test_an_operation_that_onnx_does_not_have_is_an_export_error(config, onnx, out, tmp_path):
    cfg = Config.fromfile(
        config(
            'model["decode_head"] = dict(\n'
            '    type="PSPHead", in_channels=320, in_index=3, channels=8, num_classes=5\n)\n'
        )
    )
    torch.save(MODELS.build(cfg.model).state_dict(), tmp_path / "psp.pth")
    with pytest.raises(ExportError, match="PyTorch can't write this network as ONNX"):
        export_onnx(cfg, str(tmp_path / "psp.pth"), out, dynamic=True)
    assert files_beside(out) == []
