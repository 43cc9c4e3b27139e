"""The example configs on AtrousBackbone train, evaluate and export."""

import numpy as np
import onnxruntime
import pytest
from mmengine.config import Config

from tests.support.small_configs import CROP, shrink
from tests.support.tool_modules import load_tool
from tests.support.voc_layout import write_voc_folder
from tests.test_tools.conftest import REPO


def run_config(path, changes, folder):
    """Train one iteration on tiny data, evaluate and export; returns the graph's labels."""
    cfg = Config.fromfile(REPO / path)
    shrink(cfg._cfg_dict)
    cfg.merge_from_dict(
        {
            "model.decode_head.channels": 16,
            "model.decode_head.dilations": (1, 2),
            "train_cfg": dict(max_iters=1, val_interval=1),
            "default_hooks.checkpoint": dict(interval=1, save_best=None),
            "global_batch_size": 2,
            "train_dataloader.batch_size": 2,
            **changes,
        }
    )
    for split in ("train", "val", "test"):
        cfg[f"{split}_dataloader"].update(num_workers=0, persistent_workers=False)
    write_voc_folder(folder / "data" / "VOCdevkit" / "VOC2012")
    config, weights = folder / "config.py", folder / "run" / "iter_1.pth"
    cfg.dump(config)
    load_tool("train").main([str(config), "--work-dir", str(folder / "run")])
    load_tool("test").main([str(config), str(weights), "--work-dir", str(folder / "test")])
    load_tool("export").main([str(config), str(weights), "network.onnx"])
    session = onnxruntime.InferenceSession(str(folder / "network.onnx"))
    image = np.zeros((1, *CROP, 3), np.uint8)
    return session.run(None, {session.get_inputs()[0].name: image})[0]


@pytest.mark.slow
def test_mmsegmentations_mobilenet_trains_evaluates_and_exports(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    labels = run_config(
        "configs/atrous/deeplabv3plus_mmsegmnv2-d16_b16-30k_voc12-513x513.py",
        {
            "model.backbone.network.widen_factor": 0.25,
            "model.backbone.image_size": CROP,
            "model.decode_head.in_channels": 80,
            "model.decode_head.c1_in_channels": 8,
        },
        tmp_path,
    )
    assert labels.shape[1:3] == CROP
