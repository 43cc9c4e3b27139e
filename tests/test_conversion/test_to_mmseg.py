"""A checkpoint becomes a .pth and a config that work at once in MMSegmentation."""

import ast
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.apis import MMSegInferencer, inference_model, init_model

from mmseg_deeplab_ext.checkpoints import open_checkpoint
from mmseg_deeplab_ext.conversion.ade20k import without_background
from mmseg_deeplab_ext.conversion.config_file import config_text, network_config
from mmseg_deeplab_ext.conversion.dataset_meta import class_names_and_colours
from mmseg_deeplab_ext.conversion.from_tensorflow import plan_conversion
from mmseg_deeplab_ext.conversion.to_mmseg import Outputs, convert, name_table
from mmseg_deeplab_ext.errors import (
    CheckpointError,
    CheckpointFormatError,
    CheckpointMismatchError,
    CheckpointWriteError,
    ConfigError,
)
from mmseg_deeplab_ext.specs import MobileNetV2Spec, ResNetV1BetaSpec, ResNetV1Spec
from mmseg_deeplab_ext.specs.network import NetworkSpec
from tests.support.deterministic import make_image
from tests.support.tf_files import (
    MNV2_ADE,
    MNV2_VOC,
    R18_BETA,
    R18_BETA_IMAGENET,
    head,
    variables,
    write_network,
)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tf")
    slots = {f"{name}/Momentum": value for name, value in variables(MNV2_VOC).items()}
    write_network(folder / "model.ckpt-30000", MNV2_VOC, **slots)
    return folder / "model.ckpt-30000"


def run(source, outputs, *, plan=None, **options):
    with open_checkpoint(source) as checkpoint:
        convert(checkpoint, plan_conversion(checkpoint, **(plan or {})), outputs, **options)


@pytest.fixture(scope="module")
def converted(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mmseg")
    outputs = Outputs(folder / "deeplab.pth", folder / "deeplab.py")
    run(source, outputs, crop_size=(65, 97))
    return outputs


def test_the_pth_loads_as_weights_only_and_holds_plain_tensors_and_values(converted):
    content = torch.load(converted.pth, weights_only=True)
    assert set(content) == {"meta", "state_dict"}
    assert content["meta"]["dataset_meta"]["classes"][8] == "cat"
    assert len(content["meta"]["dataset_meta"]["palette"]) == 21
    values = variables(MNV2_VOC)
    assert len(content["state_dict"]) == len(values)
    for rule in MNV2_VOC.rules():
        tensor = content["state_dict"][rule.torch_name]
        assert type(tensor) is torch.Tensor
        assert tensor.is_contiguous()
        assert np.array_equal(tensor.numpy(), rule.to_torch(values[rule.tf_name]))


def test_the_pth_loads_strictly_into_the_model_of_the_config(converted):
    model = init_model(str(converted.config), str(converted.pth), device="cpu")
    state = torch.load(converted.pth, weights_only=True)["state_dict"]
    assert not model.load_state_dict(state, strict=True).missing_keys
    assert model.dataset_meta["classes"][15] == "person"


def test_the_inferencer_takes_config_and_weights_at_once(converted, tmp_path):
    inferencer = MMSegInferencer(str(converted.config), str(converted.pth), device="cpu")
    result = inferencer(make_image(49, 70)[..., ::-1], out_dir=str(tmp_path))
    assert result["predictions"].shape == (49, 70)


def test_the_config_works_with_the_checkpoint_itself_too(converted, source):
    image = make_image(49, 70)[..., ::-1]
    logits = []
    for weights in (str(converted.pth), f"tf://{source}"):
        model = init_model(str(converted.config), weights, device="cpu")
        logits.append(inference_model(model, image).seg_logits.data)
    assert torch.equal(*logits)


def test_the_config_opens_with_the_command_that_runs_it(converted):
    lines = converted.config.read_text().splitlines()
    assert lines[0].startswith('"""DeepLabv3 on MobileNetV2 with depth multiplier 0.5, 21 classes')
    assert lines[2] == f"python tools/test.py {converted.config} {converted.pth}"


@pytest.mark.parametrize("name", ["deeplab.pth", "it's.pth"])
def test_a_training_with_the_config_starts_from_the_weights(source, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    run(source, Outputs(Path(name), Path("deeplab.py")))
    assert Config.fromfile("deeplab.py").load_from == name


def test_what_variables_do_not_tell_takes_the_zoos_values():
    cfg = network_config(R18_BETA)
    assert cfg.model.backbone == dict(
        type="mmseg_deeplab_ext.ResNetV1Beta", depth=18, output_stride=16, multi_grid=(1, 2)
    )
    assert cfg.model.decode_head.dilations == (1, 6, 12, 18)
    preprocessor = cfg.model.data_preprocessor
    assert preprocessor.size == preprocessor.test_cfg["size"] == (513, 513)
    assert preprocessor.mean == preprocessor.std == [127.5] * 3
    assert network_config(R18_BETA, output_stride=8).model.decode_head.dilations == (1, 12, 24, 36)
    r50 = NetworkSpec(ResNetV1BetaSpec(50), head(2048, num_classes=19))
    assert network_config(r50).model.backbone.multi_grid == (1, 2, 4)
    preprocessor = network_config(r50).model.data_preprocessor
    assert preprocessor.test_cfg["size"] == (1025, 2049)
    assert preprocessor.size == (769, 769), "training crops are not padded to whole images"


def test_the_plain_resnet_subtracts_its_mean_and_has_no_multi_grid():
    cfg = network_config(NetworkSpec(ResNetV1Spec(50), head(2048)))
    assert cfg.model.data_preprocessor.mean == [123.15, 115.90, 103.06]
    assert cfg.model.data_preprocessor.std == [1.0, 1.0, 1.0]
    assert "multi_grid" not in cfg.model.backbone


def test_flags_override_the_zoos_values():
    cfg = network_config(
        R18_BETA, output_stride=8, dilations=(1, 3, 6, 9), multi_grid=(1, 1), crop_size=(257, 321)
    )
    assert cfg.model.backbone.output_stride == 8
    assert cfg.model.backbone.multi_grid == (1, 1)
    assert cfg.model.decode_head.dilations == (1, 3, 6, 9)
    assert cfg.model.data_preprocessor.test_cfg["size"] == (257, 321)
    assert cfg.model.data_preprocessor.size == (513, 513)


@pytest.mark.parametrize(
    ("network", "arguments", "message"),
    [
        (R18_BETA, {"output_stride": 0}, r"output_stride=0 .*4, 8, 16, 32"),
        (R18_BETA, {"output_stride": 12}, r"output_stride=12 .*4, 8, 16, 32"),
        (R18_BETA, {"crop_size": (0, 513)}, r"crop_size=\(0, 513\) must be 2 whole numbers"),
        (R18_BETA, {"crop_size": (513,)}, r"crop_size=\(513,\) must be 2 whole numbers"),
        (MNV2_VOC, {"multi_grid": (1, 2, 4)}, "multi_grid.*MobileNetV2 .*has none"),
    ],
)
def test_arguments_that_make_no_config_are_refused(network, arguments, message):
    with pytest.raises(ConfigError, match=message):
        network_config(network, **arguments)


@pytest.mark.parametrize("dilations", [(1, 6), (1, 6, 12, 18)])
def test_a_config_that_is_not_the_files_network_is_refused(source, tmp_path, dilations):
    outputs = Outputs(tmp_path / "out.pth", tmp_path / "out.py")
    message = re.escape(f"dilations: (1,) in the file, {dilations} in the config")
    with pytest.raises(CheckpointMismatchError, match=message):
        run(source, outputs, dry_run=True, dilations=dilations)
    with pytest.raises(CheckpointMismatchError, match=message):
        run(source, outputs, dilations=dilations)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ['a"""b', 'a""""b', "C:\\new\\u12", '"', "plain"])
def test_a_config_may_come_from_a_file_of_any_name(name):
    text = config_text(Config({"x": 1}), title=f"{name}.", command=f"python {name}")
    assert ast.get_docstring(ast.parse(text), clean=False) == f"{name}.\n\npython {name}\n"


def test_ade20ks_151_channels_keep_their_labels_and_ignore_label_0(tmp_path):
    write_network(tmp_path / "ade", MNV2_ADE)
    outputs = Outputs(tmp_path / "ade.pth", tmp_path / "ade.py")
    run(tmp_path / "ade", outputs)
    cfg = Config.fromfile(outputs.config)
    dataset = cfg.test_dataloader.dataset
    assert dataset.type == cfg.dataset_type == "BaseSegDataset"
    assert dataset.data_root == cfg.data_root == "data/ade/ADEChallengeData2016"
    assert dataset.reduce_zero_label is False
    assert "reduce_zero_label" not in str(dataset.pipeline)
    assert dataset.metainfo.classes[:3] == ["other", "wall", "building"]
    assert len(dataset.metainfo.palette) == 151
    assert cfg.test_evaluator.ignore_index == cfg.model.decode_head.ignore_index == 0
    assert cfg.model.data_preprocessor.seg_pad_val == 0
    model = init_model(str(outputs.config), str(outputs.pth), device="cpu")
    assert model.dataset_meta["classes"][150] == "flag"


def test_a_number_of_classes_that_no_data_set_has_gets_numbered_classes():
    cfg = network_config(NetworkSpec(MobileNetV2Spec(0.5), head(160, num_classes=7)))
    dataset = cfg.test_dataloader.dataset
    assert dataset.metainfo.classes[6] == "class 6"
    assert len(dataset.metainfo.palette) == 7
    assert dataset.type == cfg.dataset_type == "BaseSegDataset"
    assert dataset.data_root == cfg.data_root == "data/my_dataset"
    assert "VOC2012" not in cfg.pretty_text


def test_more_classes_than_colours_use_the_colours_again():
    meta = class_names_and_colours(300)
    assert len(meta["classes"]) == len(meta["palette"]) == 300
    assert meta["palette"][256:] == meta["palette"][:44]


def test_dropped_logits_leave_no_last_layer_and_no_classes(source, tmp_path):
    outputs = Outputs(tmp_path / "out.pth")
    run(source, outputs, plan={"drop_logits": True})
    content = torch.load(outputs.pth, weights_only=True)
    assert not [name for name in content["state_dict"] if "conv_seg" in name]
    assert content["meta"] == {}


def test_an_imagenet_classifier_becomes_backbone_weights_but_no_config(tmp_path):
    write_network(tmp_path / "imagenet", R18_BETA_IMAGENET)
    with pytest.raises(CheckpointMismatchError, match="no config can be written for an ImageNet"):
        run(tmp_path / "imagenet", Outputs(tmp_path / "out.pth", tmp_path / "out.py"))
    assert not (tmp_path / "out.pth").exists()
    run(tmp_path / "imagenet", Outputs(tmp_path / "out.pth"))
    names = torch.load(tmp_path / "out.pth", weights_only=True)["state_dict"]
    assert {name.partition(".")[0] for name in names} == {"backbone"}


def test_a_dry_run_names_the_files_in_the_way(source, tmp_path):
    (tmp_path / "out.pth").write_text("mine")
    with pytest.raises(CheckpointWriteError, match=r"out\.pth exists"):
        run(source, Outputs(tmp_path / "out.pth"), dry_run=True)


def test_a_dry_run_writes_nothing_and_finds_what_a_config_can_not_build(source, tmp_path):
    outputs = Outputs(tmp_path / "out.pth", tmp_path / "out.py")
    run(source, outputs, dry_run=True)
    with pytest.raises(ConfigError, match="output_stride=7"):
        run(source, outputs, dry_run=True, output_stride=7)
    assert list(tmp_path.iterdir()) == []


def damaged(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "damage",
    [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-1]), damaged],
    ids=["missing", "cut off", "damaged"],
)
@pytest.mark.parametrize("pth", ["out.pth", None])
def test_a_dry_run_reads_every_value_that_it_would_convert(tmp_path, damage, pth):
    write_network(tmp_path / "model.ckpt", MNV2_VOC)
    damage(tmp_path / "model.ckpt.data-00000-of-00001")
    with pytest.raises(CheckpointError, match=r"model\.ckpt\.data-00000-of-00001"):
        run(tmp_path / "model.ckpt", Outputs(pth and tmp_path / pth), dry_run=True)
    assert not (tmp_path / "out.pth").exists()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("options", [{}, {"dry_run": True}])
def test_weights_that_are_not_finite_are_refused_by_name(tmp_path, options, dtype):
    bias = np.zeros(21, dtype)
    bias[:3] = np.inf, -np.inf, np.nan
    write_network(tmp_path / "model.ckpt", MNV2_VOC, **{"logits/semantic/biases": bias})
    with pytest.raises(CheckpointFormatError, match="not finite .*: decode_head.conv_seg.bias"):
        run(tmp_path / "model.ckpt", Outputs(tmp_path / "out.pth"), **options)
    assert not (tmp_path / "out.pth").exists()


def test_outputs_in_the_way_are_all_named_and_left_as_they_are(source, tmp_path):
    outputs = Outputs(tmp_path / "out.pth", tmp_path / "out.py")
    outputs.pth.write_text("mine")
    outputs.config.write_text("mine too")
    with pytest.raises(CheckpointWriteError, match=r"(?s)out\.pth exists.*out\.py exists"):
        run(source, outputs)
    assert outputs.pth.read_text() == "mine"
    assert outputs.config.read_text() == "mine too"
    run(source, Outputs(outputs.pth, outputs.config, overwrite=True))
    assert torch.load(outputs.pth, weights_only=True)["state_dict"]


@pytest.mark.parametrize(
    ("pth", "config", "message"),
    [
        ("no/such/out.pth", None, "does not exist"),
        ("folder", None, "is a folder"),
        ("out.pth", "config.yaml", r"must be named \*\.py"),
        ("out.py", "folder/../out.py", "the weights and the config can't be the same file"),
    ],
)
def test_outputs_that_can_not_be_written_are_refused_first(source, tmp_path, pth, config, message):
    (tmp_path / "folder").mkdir()
    outputs = Outputs(tmp_path / pth, config and tmp_path / config)
    with pytest.raises(CheckpointWriteError, match=message):
        outputs.check()


def test_a_damaged_tensor_leaves_no_file_behind(source, tmp_path):
    damaged = tmp_path / "model.ckpt"
    for suffix in (".index", ".data-00000-of-00001"):
        content = bytearray((source.parent / (source.name + suffix)).read_bytes())
        if suffix != ".index":
            with open_checkpoint(source) as checkpoint:
                weights = checkpoint["logits/semantic/weights"].tobytes()
            content[content.index(weights) + 5] ^= 1
        damaged.with_name(damaged.name + suffix).write_bytes(content)
    (tmp_path / "out").mkdir()
    with pytest.raises(ValueError, match="logits/semantic/weights"):
        run(damaged, Outputs(tmp_path / "out" / "out.pth"))
    assert list((tmp_path / "out").iterdir()) == []


def test_the_name_table_has_a_line_for_every_variable(source):
    with open_checkpoint(source) as checkpoint:
        lines = name_table(checkpoint, plan_conversion(checkpoint))
        assert sorted(line.split()[0] for line in lines) == sorted(checkpoint)
    row = next(line for line in lines if line.startswith("logits/semantic/weights "))
    assert row.split()[1:] == "[1, 1, 256, 21] -> decode_head.conv_seg.weight (conv)".split()
    slot = next(line for line in lines if line.startswith("logits/semantic/weights/Momentum"))
    assert slot.endswith("-- optimizer slot")


@pytest.mark.parametrize("number", [1e39, -1e300])
def test_a_float64_value_beyond_float32_is_named(tmp_path, number):
    biases = variables(MNV2_VOC)["logits/semantic/biases"].astype(np.float64)
    biases[3] = number
    write_network(tmp_path / "model.ckpt", MNV2_VOC, **{"logits/semantic/biases": biases})
    with pytest.raises(CheckpointMismatchError, match=r"logits/semantic/biases .*float32"):
        run(tmp_path / "model.ckpt", Outputs(tmp_path / "out.pth"))
    assert not (tmp_path / "out.pth").exists()


@pytest.fixture(scope="module")
def ade(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ade")
    write_network(folder / "ade", MNV2_ADE)
    outputs = Outputs(folder / "ade150.pth", folder / "ade150.py")
    run(folder / "ade", outputs, ade150=True, crop_size=(65, 65))
    return folder / "ade", outputs


def test_ade20ks_151_channels_become_mmsegs_150_classes_on_request(ade):
    _, outputs = ade
    cfg = Config.fromfile(outputs.config)
    assert cfg.test_dataloader.dataset.type == "ADE20KDataset"
    assert cfg.model.decode_head.num_classes == 150
    assert cfg.model.decode_head.get("ignore_index", 255) == 255
    model = init_model(str(outputs.config), str(outputs.pth), device="cpu")
    assert model.dataset_meta["classes"][0] == "wall"
    assert len(model.dataset_meta["palette"]) == 150


def test_the_150_logits_are_the_last_150_of_the_151(ade, tmp_path):
    source, outputs = ade
    whole = Outputs(tmp_path / "ade151.pth", tmp_path / "ade151.py")
    run(source, whole, crop_size=(65, 65))
    image = make_image(65, 65)[..., ::-1]
    (logits, labels), (kept, kept_labels) = (
        (result.seg_logits.data, result.pred_sem_seg.data)
        for result in (
            inference_model(init_model(str(o.config), str(o.pth), device="cpu"), image)
            for o in (whole, outputs)
        )
    )
    assert len(logits) == 151
    assert torch.allclose(kept, logits[1:], rtol=0, atol=1e-5 * float(logits.abs().max()))
    other = labels != 0
    assert 0 < other.float().mean() <= 1
    assert torch.equal(kept_labels[other], labels[other] - 1)


@pytest.mark.parametrize("plan", [{}, {"drop_logits": True}])
def test_only_151_channels_become_150_classes(source, tmp_path, plan):
    with pytest.raises(CheckpointMismatchError, match="only a network with the 151 channels"):
        run(source, Outputs(tmp_path / "out.pth"), plan=plan, ade150=True)
    assert list(tmp_path.iterdir()) == []


def test_a_state_dict_without_151_logits_is_refused():
    bias = {"decode_head.conv_seg.bias": torch.zeros(151)}
    with pytest.raises(CheckpointMismatchError, match=r"here are \{'decode_head.conv_seg.bias': "):
        without_background(bias)
    with pytest.raises(CheckpointMismatchError, match="here are no logits"):
        without_background({})


@pytest.mark.parametrize(
    ("network", "pixel", "label"),
    [
        (NetworkSpec(ResNetV1Spec(50), head(2048)), [103.06, 115.90, 123.15], 255),
        (NetworkSpec(ResNetV1Spec(18), head(512)), [127.5] * 3, 255),
        (R18_BETA, [127.5] * 3, 255),
        (MNV2_ADE, [127.5] * 3, 0),
    ],
)
def test_crops_are_padded_with_the_networks_mean_pixel_and_the_ignored_label(network, pixel, label):
    cfg = network_config(network)
    for steps in (cfg.train_pipeline, cfg.train_dataloader.dataset.pipeline):
        (crop,) = (step for step in steps if step.type == "mmseg_deeplab_ext.RandomScaleCrop")
        assert crop.pad_val == dict(img=pixel, seg=label)
