"""Checkpoints as MMEngine's Runner writes them load again, and nothing else does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmengine.utils import digit_version
from mmseg.evaluation import IoUMetric

from tests.support.processes import run_python

# A training of two iterations with validation: its checkpoint holds what real ones hold, among it
# the histories of losses and metrics and a best score that is a NumPy number, of the type that
# MMSegmentation's IoUMetric gives.
TRAINING = """
    import sys
    import numpy as np
    import torch
    from mmengine.evaluator import BaseMetric
    from mmengine.model import BaseModel
    from mmengine.registry import METRICS
    from mmengine.runner import Runner

    class Dataset(torch.utils.data.Dataset):
        metainfo = dict(classes=("a", "b"))
        def __len__(self):
            return 4
        def __getitem__(self, index):
            return torch.full((2,), float(index))

    class Model(BaseModel):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(2, 1)
        def forward(self, *inputs, mode="tensor"):
            output = self.linear(torch.stack(inputs))
            return dict(loss=output.sum()) if mode == "loss" else list(output)

    @METRICS.register_module()
    class Metric(BaseMetric):
        def process(self, data_batch, data_samples):
            self.results.append(len(data_samples))
        def compute_metrics(self, results):
            return dict(mIoU=np.round(np.float32(12.5), 2), aAcc=np.float64(3))

    def loader(sampler):
        return dict(dataset=Dataset(), batch_size=2, sampler=dict(type=sampler))

    def runner(iterations, resume):
        return Runner(
            Model(),
            "work",
            train_dataloader=loader("InfiniteSampler"),
            val_dataloader=loader("DefaultSampler"),
            val_evaluator=dict(type="Metric"),
            train_cfg=dict(by_epoch=False, max_iters=iterations, val_interval=2),
            val_cfg=dict(),
            optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1, momentum=0.9)),
            param_scheduler=[dict(type="PolyLR", begin=0, end=4, by_epoch=False)],
            default_hooks=dict(
                logger=dict(type="LoggerHook", interval=1, log_metric_by_epoch=False),
                checkpoint=dict(
                    type="CheckpointHook", by_epoch=False, interval=2, save_best="mIoU"
                ),
            ),
            log_processor=dict(by_epoch=False),
            resume=resume,
            experiment_name=str(iterations),
        )
"""

SAVE = (
    TRAINING
    + """
    runner(2, resume=False).train()
"""
)

RESUME = (
    TRAINING
    + """
    from mmseg_deeplab_ext.plugins import load_plugins

    load_plugins()
    resumed = runner(4, resume=True)
    resumed.train()
    losses = resumed.message_hub.get_scalar("train/loss")
    assert len(losses.data[0]) == 4, losses.data
    assert losses.mean(2) == losses.data[0][-2:].mean()
    best = resumed.message_hub.get_info("best_score")
    assert type(best) is np.float32, type(best)
    assert best == 12.5
    assert resumed.iter == 4
    print("RESUMED")
"""
)

# As a file that pretends to hold a method of HistoryBuffer and asks for something else.
ATTACK = """
    import pickle
    import torch
    from mmengine.logging import HistoryBuffer
    from mmseg_deeplab_ext.safe_globals import allow_mmengine_checkpoints

    class Finds:
        def __init__(self, owner, name):
            self.wanted = owner, name
        def __reduce__(self):
            return getattr, self.wanted

    allow_mmengine_checkpoints()
    torch.save(Finds(HistoryBuffer, "mean"), "method.pth")
    assert torch.load("method.pth") is HistoryBuffer.mean
    for number, wanted in enumerate([(HistoryBuffer, "__init__"), (torch.Tensor, "mean")]):
        torch.save(Finds(*wanted), "attack.pth")
        try:
            torch.load("attack.pth")
        except pickle.UnpicklingError as error:
            print("REFUSED", number, "HistoryBuffer, this one names" in str(error))
"""


@pytest.mark.slow
def test_a_training_resumes_from_a_checkpoint_of_mmengines_runner(tmp_path):
    run_python(SAVE, cwd=tmp_path)
    assert (tmp_path / "work" / "best_mIoU_iter_2.pth").exists()
    process = run_python(RESUME, cwd=tmp_path)
    assert "RESUMED" in process.stdout
    # OneDL's MMEngine loads what it does not know after all, without the protection.
    for complaint in ("Could not safely load", "Falling back"):
        assert complaint not in process.stdout + process.stderr


def test_ioumetric_gives_the_type_of_score_that_this_is_tested_with():
    metric = IoUMetric()
    metric.dataset_meta = {"classes": ("a", "b")}
    counts = torch.tensor([2.0, 3.0])
    metrics = metric.compute_metrics([(counts - 1, counts + 1, counts, counts)])
    assert type(metrics["mIoU"]) is np.float32


@pytest.mark.skipif(
    digit_version(torch.__version__) < digit_version("2.6.0"), reason="this PyTorch loads anything"
)
def test_the_files_may_name_methods_of_the_history_and_nothing_else(tmp_path):
    output = run_python(ATTACK, cwd=tmp_path).stdout
    assert output.splitlines() == ["REFUSED 0 True", "REFUSED 1 True"]
