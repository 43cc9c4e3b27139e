"""A training that diverges stops, and leaves no checkpoint of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.hooks import CheckpointHook
from mmengine.model import BaseModel
from mmengine.optim import AmpOptimWrapper
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from mmseg_deeplab_ext.engine import StopAtDivergenceHook
from mmseg_deeplab_ext.errors import TrainingDivergedError


class Scripted(BaseModel):
    """Its losses come from a list; the given iteration also breaks its weight."""

    def __init__(self, losses: list[float], *, breaks: int = -1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.norm = nn.BatchNorm2d(1)
        self.register_buffer("mask", torch.full((1,), -float("inf")))  # no divergence
        self.losses, self.breaks, self.step = losses, breaks, 0

    def forward(self, inputs: Any, mode: str = "tensor") -> Any:
        if mode != "loss":
            return []
        self.step += 1
        if self.step == self.breaks:
            self.weight.data.fill_(float("inf"))
        loss = self.losses[self.step - 1]
        return {"loss": (self.weight * 0).nan_to_num().sum() + loss}


def train(folder: Path, model: Scripted, *, interval: int = 1, wrapper: Any = None) -> Runner:
    runner = Runner(
        model,
        str(folder),
        train_dataloader=DataLoader([{"inputs": torch.zeros(1)}] * 4),
        train_cfg={"by_epoch": False, "max_iters": len(model.losses), "val_interval": 100},
        optim_wrapper=wrapper or {"optimizer": {"type": "SGD", "lr": 0.25}},
        default_hooks={
            "logger": {"type": "LoggerHook", "interval": 1000},
            "checkpoint": {
                **{"type": "CheckpointHook", "by_epoch": False, "interval": interval},
                "max_keep_ckpts": 1,
            },
        },
        custom_hooks=[{"type": "mmseg_deeplab_ext.StopAtDivergenceHook"}],
        default_scope="mmseg",
        experiment_name=folder.name,
    )
    runner.train()
    return runner


def saved(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.pth"))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_at_once_whatever_is_logged(
    tmp_path: Path, bad: float
) -> None:
    wanted = rf"loss is {bad} at iteration 3, with the learning rate 0\.25\. Try a lower .*"
    with pytest.raises(TrainingDivergedError, match=wanted + str(tmp_path)):
        train(tmp_path, Scripted([1.0, 1.0, bad, 1.0]))
    assert saved(tmp_path) == ["iter_2.pth"]


def test_weights_that_are_not_finite_are_not_saved_though_the_loss_is(tmp_path: Path) -> None:
    with pytest.raises(TrainingDivergedError, match="weight is not finite after iteration 4"):
        train(tmp_path, Scripted([1.0] * 4, breaks=3), interval=2)
    assert saved(tmp_path) == ["iter_2.pth"]  # the oldest is still there


def test_the_last_iteration_saves_none_either_whatever_the_interval(tmp_path: Path) -> None:
    with pytest.raises(TrainingDivergedError, match="weight is not finite after iteration 3"):
        train(tmp_path, Scripted([1.0] * 3, breaks=3), interval=2)
    assert saved(tmp_path) == ["iter_2.pth"]


def test_weights_that_are_not_finite_are_not_validated(tmp_path: Path) -> None:
    runner = train(tmp_path, Scripted([1.0]))
    runner.model.weight.data.fill_(float("nan"))
    with pytest.raises(TrainingDivergedError, match="weight is not finite after iteration 1"):
        StopAtDivergenceHook().before_val_epoch(runner)
    runner.model.weight.data.fill_(1.0)
    runner.model.norm.running_var.fill_(float("inf"))
    with pytest.raises(TrainingDivergedError, match=r"norm\.running_var is not finite"):
        StopAtDivergenceHook().before_val_epoch(runner)


def test_a_training_that_stays_finite_goes_to_its_end(tmp_path: Path) -> None:
    train(tmp_path, Scripted([1.0, -2.0]))
    assert saved(tmp_path) == ["iter_2.pth"]


def test_steps_that_a_loss_scaler_skips_are_no_divergence_until_all_are(tmp_path: Path) -> None:
    runner = train(tmp_path, Scripted([1.0]))
    hook, bad = StopAtDivergenceHook(), float("nan")
    runner.optim_wrapper.__class__ = type("Scaled", (AmpOptimWrapper,), {})
    runner.optim_wrapper.loss_scaler = object()
    runner.hooks[:] = [one for one in runner.hooks if not isinstance(one, CheckpointHook)]

    def look(loss: float) -> None:
        runner.message_hub.update_scalar("train/loss", loss)
        hook.after_train_iter(runner, 0, outputs={"loss": loss})

    for _ in range(3):
        for _ in range(20):
            look(bad)
        look(1.0)
    for _ in range(20):
        look(bad)
    with pytest.raises(TrainingDivergedError, match="loss is nan"):
        look(bad)
