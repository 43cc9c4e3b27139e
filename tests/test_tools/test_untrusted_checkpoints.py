"""A .pth that holds code, or NaN, given to every tool in every way: it is not run, or taken."""

from __future__ import annotations

import tarfile

import pytest
import torch
from PIL import Image

from mmseg_deeplab_ext.conversion.plain_loading import trust_checkpoints
from mmseg_deeplab_ext.datasets.demo_dataset import DemoSpec, make_demo_dataset
from mmseg_deeplab_ext.errors import CheckpointFormatError, CheckpointUnsupportedError
from tests.data.make_compatibility import ARCHIVE
from tests.support.attacks import RunsCode
from tests.support.tool_modules import load_tool

TRAIN = "train net.py --work-dir work"
INIT = "model.backbone.init_cfg"
COMMANDS = {
    "predict": "predict net.py attack.pth image.png --out out",
    "test": "test net.py attack.pth --work-dir work --cfg-options test_dataloader.dataset."
    "data_root=demo test_dataloader.num_workers=0 test_dataloader.persistent_workers=False",
    "export": "export net.py attack.pth out.onnx",
    "load_from": f"{TRAIN} --cfg-options load_from=attack.pth",
    "init_cfg": f"{TRAIN} --cfg-options load_from=None {INIT}.type=Pretrained "
    f"{INIT}.checkpoint=attack.pth {INIT}.prefix=backbone.",
    "resume": "train net.py --work-dir from-attack --resume",
    "mmseg2tf": "model_converters/mmseg2tf net.py attack.pth out.ckpt",
    "torchvision2mmseg": "model_converters/torchvision2mmseg attack.pth out.pth",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A network, its data, and a checkpoint of it whose ``meta`` holds code besides."""
    folder = tmp_path_factory.mktemp("attack")
    with tarfile.open(ARCHIVE) as archive:
        for name in ("trained.py", "trained.pth"):
            archive.extract(name, folder)
    (folder / "trained.py").rename(folder / "net.py")
    make_demo_dataset(folder / "demo", DemoSpec(train=2, val=2))
    Image.new("RGB", (65, 65)).save(folder / "image.png")
    content = torch.load(folder / "trained.pth", weights_only=False)
    content["meta"]["hook_msgs"] = RunsCode(folder / "ran")
    torch.save(content, folder / "attack.pth")
    del content["meta"]["hook_msgs"]
    content["state_dict"]["backbone.stem.0.conv.weight"].fill_(float("nan"))
    torch.save(content, folder / "nan.pth")
    for name in ("attack", "nan"):
        (folder / f"from-{name}").mkdir()
        (folder / f"from-{name}" / "last_checkpoint").write_text(str(folder / f"{name}.pth"))
    return folder


@pytest.fixture(autouse=True)
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    yield
    (folder / "ran").unlink(missing_ok=True)
    trust_checkpoints(False)


def run(way, *more, file="attack"):
    tool, *arguments = COMMANDS[way].replace("attack", file).split()
    load_tool(tool).main([*arguments, *more])


@pytest.mark.parametrize("way", COMMANDS)
def test_code_in_a_checkpoint_is_not_run_and_named(folder, way):
    message = r"attack\.pth holds .* builtins\.exec \(after 'hook_msgs'\)\. .*--trust-checkpoint"
    with pytest.raises(CheckpointUnsupportedError, match=message):
        run(way)
    assert not (folder / "ran").exists()


@pytest.mark.parametrize("way", COMMANDS)
def test_it_is_run_for_those_who_trust_it(folder, way):
    with pytest.raises(CheckpointFormatError, match=r"attack\.pth .*the code ran"):
        run(way, "--trust-checkpoint")
    assert (folder / "ran").exists()


@pytest.mark.parametrize("way", ["load_from", "init_cfg", "resume", "mmseg2tf"])
def test_weights_that_are_not_finite_are_refused(way):
    message = r"nan\.pth holds .* not finite .* 1 weights: backbone\.stem\.0\.conv\.weight"
    with pytest.raises(CheckpointFormatError, match=message):
        run(way, file="nan")
