"""One iteration of MMEngine's Runner on the weights and images of a golden file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import DATASETS
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch.utils.data import Dataset

from mmseg_deeplab_ext.specs.network import rules_of_model
from tests.support.deterministic import make_image
from tests.support.golden_networks import cached_value
from tests.support.training_goldens import golden

REPO = Path(__file__).resolve().parents[2]
CONFIG = "configs/deeplabv3plus/deeplabv3plus_r50beta-d16_b16-30k_voc12-513x513.py"

# Golden file -> the seeds of its images.
SEEDS = {"aux_gradients_f64_r50b": (31, 32, 33, 34), "aux_train_step_r50b": (21, 22)}


@DATASETS.register_module()
class GoldenImages(Dataset):
    """The images and labels of a golden file, packed as MMSegmentation's transforms do it."""

    def __init__(self, name):
        self.seeds = SEEDS[name]
        self.labels = golden(name)["labels"][..., 0].astype(np.int64)

    def __len__(self):
        return len(self.seeds)

    def __getitem__(self, index):
        label = torch.from_numpy(self.labels[index])[None]
        bgr = make_image(*label.shape[1:], self.seeds[index])[..., ::-1]
        sample = SegDataSample(
            gt_sem_seg=PixelData(data=label), metainfo=dict(img_shape=tuple(label.shape[1:]))
        )
        return dict(inputs=torch.from_numpy(bgr.transpose(2, 0, 1).copy()), data_samples=sample)


class Observer(Hook):
    """Start from the golden weights; keep what the iteration computed.

    In float64 the image is normalised in float32 first, with TensorFlow's arithmetic, as the
    reference was.
    """

    def __init__(self, dtype):
        self.dtype = dtype
        self.seen = {}

    def before_train(self, runner):
        model = runner.model.to(self.dtype)
        values = {
            rule.torch_name: torch.from_numpy(
                rule.to_torch(cached_value(rule.tf_name, rule.shape)).copy()
            )
            for rule in rules_of_model(model)
        }
        left = model.load_state_dict(values, strict=False).missing_keys
        assert all("num_batches_tracked" in name for name in left)
        self.before = {name: p.detach().clone() for name, p in model.named_parameters()}
        if self.dtype == torch.float64:
            model.backbone.register_forward_pre_hook(lambda module, args: (_tensorflows(args[0]),))
        model.decode_head.conv_seg.register_forward_hook(
            lambda module, args, logits: self.seen.update(logits=logits.detach())
        )

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.seen.update(outputs)


def _tensorflows(normalised):
    pixels = torch.round(normalised * 127.5 + 127.5).float()
    return (pixels * np.float32(2 / 255) - 1).double()


def train_one_iteration(name, work_dir, *, dtype, changes):
    """Train an iteration of the official VOC recipe, changed as said, from the golden weights.

    Args:
        name: of the golden file.
        work_dir: for the Runner's files.
        dtype: of the network.
        changes: dotted config keys and their values.

    Returns:
        The Runner after the iteration, and its `Observer`.
    """
    cfg = Config.fromfile(REPO / CONFIG)
    images = GoldenImages(name)
    cfg.merge_from_dict(
        {
            "work_dir": str(work_dir),
            "model.data_preprocessor.size": images.labels.shape[1:],
            "model.decode_head.dropout_ratio": 0.0,  # off in the golden files
            "global_batch_size": len(images),
            "train_cfg.max_iters": 1,
            "default_hooks.checkpoint": None,
            "sync_bn": None,
            **changes,
        }
    )
    cfg.train_dataloader = dict(
        batch_size=len(images),
        num_workers=0,
        sampler=dict(type="InfiniteSampler", shuffle=False),
        dataset=dict(type="mmengine.GoldenImages", name=name),
    )
    for split in ("val", "test"):
        for part in ("cfg", "dataloader", "evaluator"):
            cfg[f"{split}_{part}"] = None
    runner = Runner.from_cfg(cfg)
    observer = Observer(dtype)
    runner.register_hook(observer)
    runner.train()
    return runner, observer
