"""The networks of docs/neighbours.md go through every tool: the shipped configs, on tiny data."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from tests.support.tool_modules import load_tool
from tests.test_tools.conftest import REPO

SIZE = (64, 64)
SMALL_RESNET = dict(depth=18, multi_grid=(1, 2), init_cfg=None)
NARROW_UNET = {
    "backbone": dict(depth=18, multi_grid=(1, 2)),
    "decode_head": dict(in_channels=(32, 64, 128, 256, 512), decoder_channels=(8,) * 5),
    "test_cfg": dict(stride=(48, 48)),
}
NARROW_VGG16 = {"backbone": dict(fc_channels=8), "decode_head": dict(in_channels=(256, 512, 8))}
# Kind of network -> its config, and what makes it small.
NETWORKS = {
    "fcn8s": ("fcn/fcn8s_vgg16_voc.py", NARROW_VGG16),
    "unet": ("unet/unet_r50beta_grey.py", NARROW_UNET),
    "deeplabv3": (
        "deeplabv3/deeplabv3_r101beta-d16_b16-30k_voc12aug-513x513.py",
        {"backbone": SMALL_RESNET, "decode_head": dict(in_channels=512, channels=16)},
    ),
    "cascade": (
        "deeplabv3/deeplabv3_r101beta_cascade-d16_b16-30k_voc12aug-513x513.py",
        {"backbone": SMALL_RESNET, "decode_head": dict(in_channels=512, channels=512)},
    ),
}


def shrink_sizes(value):
    """Make crops and paddings small, in place, wherever they are."""
    for part in value if isinstance(value, list) else value.values():
        if isinstance(part, (dict, list)):
            shrink_sizes(part)
    for key in {"size", "crop_size"} & set(value if isinstance(value, dict) else ()):
        if value[key] is not None:
            value[key] = SIZE


def small(path, parts, data_root):
    """A shipped config on the demo's scenes: two steps and an evaluation."""
    cfg = Config.fromfile(REPO / "configs" / path)
    demo = Config.fromfile(REPO / "configs" / "deeplabv3plus_r18beta_demo.py")
    shrink_sizes(cfg.model)
    for part, values in parts.items():
        cfg.model[part].update(values)
    cfg.model.decode_head.num_classes = len(demo.classes)
    for split, pipeline in (("train", "train"), ("val", "test"), ("test", "test")):
        data = cfg[f"{split}_dataloader"]
        data.update(batch_size=1 if split != "train" else 2, num_workers=0)
        data.persistent_workers = False
        ours = demo[f"{split}_dataloader"].dataset
        data.dataset = dict(ours, data_root=str(data_root), pipeline=cfg[f"{pipeline}_pipeline"])
        shrink_sizes(data.dataset)
    train = cfg.train_dataloader.dataset.pipeline
    if not any("crop_size" in step for step in train):  # whole images
        train.insert(2, dict(type="Resize", scale=SIZE))
    cfg.update(load_from=None, global_batch_size=2)
    cfg.optim_wrapper.optimizer.lr = 0.01  # so that two steps show
    cfg.train_cfg.update(max_iters=2, val_interval=2)
    cfg.default_hooks.checkpoint.update(interval=2, save_best=None)
    return cfg


@pytest.fixture(scope="module", params=NETWORKS.values(), ids=list(NETWORKS))
def trained(request, tmp_path_factory, data_root):
    """A small network after two steps: its config and its weights."""
    folder = tmp_path_factory.mktemp("neighbour")
    config = folder / "small.py"
    small(*request.param, data_root).dump(config)
    load_tool("train").main([str(config), "--work-dir", str(folder / "work")])
    return SimpleNamespace(
        folder=folder, config=str(config), weights=str(folder / "work" / "iter_2.pth")
    )


def test_it_trains_evaluates_predicts_and_is_exported(trained, data_root, capsys):
    load_tool("test").main(
        [trained.config, trained.weights, "--work-dir", str(trained.folder / "tested")]
    )
    images = sorted((data_root / "JPEGImages").glob("*"))[:2]
    predicted = trained.folder / "predicted"
    arguments = [trained.config, trained.weights, *map(str, images), "--out", str(predicted)]
    assert load_tool("predict").main(arguments) == 0
    for image in images:
        label = np.asarray(Image.open(predicted / "labels" / f"{image.stem}.png"))
        assert label.shape == np.asarray(Image.open(image)).shape[:2]
        assert label.max() < 7
    capsys.readouterr()
    exported = str(trained.folder / "exported.onnx")
    load_tool("export").main([trained.config, trained.weights, exported])
    verified = re.findall(r"verified on .*: (\d+) labels differ", capsys.readouterr().out)
    assert set(verified) == {"0"}


def test_every_file_that_the_page_names_is_there():
    page = (REPO / "docs" / "neighbours.md").read_text()
    named = set(re.findall(r"(?:configs|tools)/[\w./-]+\.py", page))
    assert {f"configs/{path}" for path, _ in NETWORKS.values()} <= named
    assert [name for name in named if not (REPO / name).is_file()] == []
