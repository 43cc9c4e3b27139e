"""What an older version left on its users' disks works as it did: no bit, name or config changed.

tests/data/make_compatibility.py says what the archive holds, and made it with that version.
"""

import json
import shutil
import tarfile

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from mmseg.utils import register_all_modules

from mmseg_deeplab_ext.checkpoints import open_checkpoint
from mmseg_deeplab_ext.datasets.demo_dataset import DemoSpec, make_demo_dataset
from tests.data.make_compatibility import (
    ARCHIVE,
    NETWORKS,
    bits_digest,
    fill,
    logits,
    names_digest,
)
from tests.support.tool_modules import load_tool

register_all_modules()
mmseg2tf = load_tool("model_converters/mmseg2tf").main
tf2mmseg = load_tool("model_converters/tf2mmseg").main


@pytest.fixture(scope="module")
def older(tmp_path_factory):
    folder = tmp_path_factory.mktemp("older")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder: written configs name their weights by the path on the command line."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(path):
    return torch.load(path, map_location="cpu", weights_only=False)


def build(path):
    return MODELS.build(Config.fromfile(path).model)


@pytest.mark.parametrize("name", ["converted", "trained"])
def test_an_older_pth_fits_its_older_config_and_gives_the_same_logits(older, name):
    model = build(older / f"{name}.py")
    model.load_state_dict(load(older / f"{name}.pth")["state_dict"], strict=True)
    golden = np.load(older / "logits.npz")
    assert np.abs(logits(model, golden["image"]) - golden["logits"]).max() <= 1e-6


def test_an_older_pth_becomes_the_same_tensorflow_checkpoint_byte_for_byte(older, here):
    mmseg2tf([str(older / "trained.py"), str(older / "trained.pth"), "trained.ckpt"])
    for name in ("trained.ckpt.index", "trained.ckpt.data-00000-of-00001"):
        assert (here / name).read_bytes() == (older / name).read_bytes(), name


def test_an_older_tensorflow_checkpoint_becomes_the_same_pth_and_config(older, here):
    tf2mmseg([str(older / "trained.ckpt"), "converted.pth", "--config-out", "converted.py"])
    ours, theirs = load("converted.pth"), load(older / "converted.pth")
    assert bits_digest(ours["state_dict"]) == bits_digest(theirs["state_dict"])
    assert list(ours["state_dict"]) == list(theirs["state_dict"])
    assert ours["meta"] == theirs["meta"]
    cfg = Config.fromfile("converted.py").to_dict()
    assert cfg == Config.fromfile(older / "converted.py").to_dict()


def test_an_older_tensorflow_checkpoint_loads_into_a_network_by_its_address(older):
    parts = Config.fromfile(older / "converted.py").model
    parts.init_cfg = dict(type="Pretrained", checkpoint=f"tf://{older / 'trained.ckpt'}")
    model = MODELS.build(parts)
    model.init_weights()
    loaded = {k: v for k, v in model.state_dict().items() if "num_batches_tracked" not in k}
    assert bits_digest(loaded) == bits_digest(load(older / "converted.pth")["state_dict"])


def test_a_training_of_the_older_version_goes_on(older, here):
    make_demo_dataset(here / "demo", DemoSpec(train=2, val=2))
    (here / "work").mkdir()
    shutil.copy(older / "trained.pth", here / "work" / "iter_1.pth")
    (here / "work" / "last_checkpoint").write_text(str(here / "work" / "iter_1.pth"))
    load_tool("train").main([str(older / "trained.py"), "--work-dir", "work", "--resume"])
    before, after = load(older / "trained.pth"), load("work/iter_2.pth")
    assert after["meta"]["iter"] == 2
    assert names_digest(after["state_dict"]) == names_digest(before["state_dict"])
    groups = [
        [{key: group[key] for key in ("params", "weight_decay", "initial_lr")} for group in groups]
        for groups in (before["optimizer"]["param_groups"], after["optimizer"]["param_groups"])
    ]
    assert groups[0] == groups[1]
    assert len(after["optimizer"]["state"]) == len(before["optimizer"]["state"])


@pytest.mark.parametrize("name", NETWORKS)
def test_an_older_written_config_builds_the_same_network_and_is_written_again(name, older, here):
    digests = json.loads((older / "digests.json").read_text())[name]
    state = fill(build(older / f"{name}.py"))
    assert names_digest(state) == digests["names"]
    assert bits_digest(state) == digests["bits"]
    torch.save({"state_dict": state}, "model.pth")
    mmseg2tf([str(older / f"{name}.py"), "model.pth", "model.ckpt"])
    with open_checkpoint("model.ckpt") as checkpoint:
        assert bits_digest(checkpoint) == digests["tensorflow_bits"]
    tf2mmseg(["model.ckpt", "back.pth", "--config-out", f"{name}.py"])
    assert bits_digest(load("back.pth")["state_dict"]) == digests["bits"]
    written, expected = (Config.fromfile(path / f"{name}.py").to_dict() for path in (here, older))
    assert written == expected
    # 300 MB each for the largest.
    for path in here.glob("*.*"):
        path.unlink()
