"""tools/model_converters/torchvision2mmseg.py, and what the other tools make of its files."""

import json

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmseg_deeplab_ext.conversion.pth import load_pth, state_dict_of
from mmseg_deeplab_ext.errors import CheckpointNotFoundError, CheckpointWriteError
from mmseg_deeplab_ext.registry import MODELS
from tests.support.tool_modules import load_tool
from tests.support.torchvision_goldens import calm_state_dict, state_dict
from tests.test_tools.conftest import REPO

LRASPP = "lraspp_mobilenet_v3_large"
TRAINED = ("fcn", "deeplabv3_mobilenet_v3_large", LRASPP)  # one of every kind


@pytest.fixture(scope="module")
def convert():
    main = load_tool("model_converters/torchvision2mmseg").main
    return lambda *arguments: main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("torchvision") / "lraspp.pth"
    torch.save(state_dict(LRASPP), path)
    return path


def test_the_file_holds_the_weights_and_the_classes_that_its_number_stands_for(
    convert, source, tmp_path, capsys
):
    convert(source, tmp_path / "out.pth")
    assert capsys.readouterr().out.splitlines()[-5:] == [
        "torchvision's lraspp_mobilenet_v3_large, 21 classes, without auxiliary head",
        "272 tensors used",
        "47 ignored: batches counted, which change nothing",
        "0 missing",
        f"written: {tmp_path / 'out.pth'}",
    ]
    content = torch.load(tmp_path / "out.pth", weights_only=True)
    assert len(content["state_dict"]) == 272
    assert content["meta"]["dataset_meta"]["classes"][:2] == ["background", "aeroplane"]
    assert content["meta"]["classes_by_number"]


def test_list_prints_every_name_and_dry_run_writes_nothing(convert, source, tmp_path, capsys):
    files = tmp_path / "out.pth", "--config-out", tmp_path / "out.py"
    convert(source, *files, "--list", "--dry-run")
    output = capsys.readouterr().out
    assert all(f"{name} " in output for name in state_dict(LRASPP))
    assert output.endswith("nothing written\n")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_only_replaced_when_told(convert, source, tmp_path):
    out = tmp_path / "out.pth"
    out.write_text("mine")
    with pytest.raises(CheckpointWriteError, match="--force overwrites it"):
        convert(source, out)
    assert out.read_text() == "mine"
    convert(source, out, "--force")
    assert torch.load(out, weights_only=True)["state_dict"]


def test_a_checkpoint_of_torchvisions_own_training_is_converted(convert, source, tmp_path):
    torch.save({"model": torch.load(source, weights_only=True), "epoch": 29}, tmp_path / "29.pth")
    convert(tmp_path / "29.pth", tmp_path / "out.pth")
    assert len(torch.load(tmp_path / "out.pth", weights_only=True)["state_dict"]) == 272


def test_a_file_that_is_not_there_is_named(convert, tmp_path):
    with pytest.raises(CheckpointNotFoundError, match=r"absent.pth does not exist"):
        convert(tmp_path / "absent.pth", tmp_path / "out.pth")


def test_a_config_of_other_classes_names_them_and_a_data_set_of_ones_own(convert, tmp_path):
    tensors = state_dict(LRASPP)
    for name in [name for name in tensors if "_classifier." in name]:
        tensors[name] = tensors[name][:3].clone()
    torch.save(tensors, tmp_path / "three.pth")
    convert(tmp_path / "three.pth", tmp_path / "out.pth", "--config-out", tmp_path / "out.py")
    cfg = Config.fromfile(tmp_path / "out.py")
    assert cfg.model.decode_head.num_classes == 3
    dataset = cfg.train_dataloader.dataset
    assert dataset.type == "BaseSegDataset"
    assert dataset.metainfo.classes == ["class 0", "class 1", "class 2"]


def shrink(value):
    """Make images and crops small, in place, wherever they are in a config."""
    if isinstance(value, (list, tuple)):
        for part in value:
            shrink(part)
    elif isinstance(value, dict):
        value.update({key: (65, 65) for key in ("crop_size", "size") if key in value})
        if "Resize" in str(value.get("type")):
            value["scale"] = (100000, 65)
        for part in value.values():
            shrink(part)


def shrunk(path, data_root):
    """A written config, for two iterations on the demo's scenes."""
    cfg = Config.fromfile(path)
    shrink(cfg._cfg_dict)
    for split in ("train", "val", "test"):
        loader = cfg[f"{split}_dataloader"]
        loader.update(num_workers=0, persistent_workers=False)
        loader.dataset.data_root = str(data_root)
    cfg.global_batch_size = cfg.train_dataloader.batch_size = 2
    cfg.train_cfg.update(max_iters=2, val_interval=2)
    cfg.default_hooks.checkpoint.update(save_best=None, save_optimizer=False)
    return cfg


@pytest.fixture(scope="module", params=TRAINED)
def trained(request, convert, data_root, tmp_path_factory):
    """A folder with a network, start.pth and small.py, and in work what two iterations make of it.

    The networks are converted ones, but the FCN, which is small.
    """
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "fcn":
        cfg = shrunk(REPO / "configs/fcn/fcn_r50-d8_torchvision_voc.py", data_root)
        cfg.model.backbone.depth = 18
        cfg.model.decode_head.in_channels, cfg.model.auxiliary_head.in_channels = 512, 256
        init_default_scope("mmseg")
        torch.save(MODELS.build(cfg.model).state_dict(), folder / "start.pth")
        cfg.load_from = str(folder / "start.pth")
    else:
        torch.save(calm_state_dict(request.param), folder / "source.pth")
        files = folder / "start.pth", "--config-out", folder / "whole.py"
        convert(folder / "source.pth", *files)
        cfg = shrunk(folder / "whole.py", data_root)
    cfg.dump(folder / "small.py")
    load_tool("train").main([str(folder / "small.py"), "--work-dir", str(folder / "work")])
    return folder


def test_a_training_starts_from_the_weights_and_moves_every_part(trained):
    start, after = (
        state_dict_of(load_pth(str(path)), source=str(path))
        for path in (trained / "start.pth", trained / "work" / "iter_2.pth")
    )
    for name, value in start.items():
        if name.endswith("conv.weight") or name.endswith("conv_seg.weight"):
            # Random weights would be further away than their own size.
            assert 0 < (after[name] - value).norm() < 0.5 * value.norm(), name


def test_the_trained_network_is_evaluated(trained):
    arguments = [trained / "small.py", trained / "work" / "iter_2.pth"]
    load_tool("test").main([*map(str, arguments), "--work-dir", str(trained / "tested")])
    (scores,) = (json.loads(path.read_text()) for path in trained.glob("tested/*/*.json"))
    assert 0 <= scores["mIoU"] <= 100


def test_the_network_predicts_and_its_file_for_elsewhere_agrees(trained, data_root):
    pytest.importorskip("onnxruntime")
    arguments = [str(trained / "small.py"), str(trained / "start.pth")]
    images = str(data_root / "JPEGImages")
    load_tool("predict").main([*arguments, images, "--out", str(trained / "predicted")])
    labels = sorted(path.stem for path in (trained / "predicted" / "labels").iterdir())
    assert labels == sorted(path.stem for path in (data_root / "JPEGImages").iterdir())
    out = trained / "network.onnx"
    load_tool("export").main([*arguments, str(out), "--dynamic"])  # verifies what it has written
    assert out.exists()
