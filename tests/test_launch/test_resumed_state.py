"""A resumed training goes on with the model and the optimizer that the checkpoint has, or stops."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW

from mmseg_deeplab_ext.errors import CheckpointMismatchError
from mmseg_deeplab_ext.launch.checks.resumed_state import ResumedStateHook


class Segmentor(nn.Module):
    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.decode_head = nn.Module()
        self.decode_head.conv_seg = nn.Conv2d(4, classes, 1)


def saved(kind: Any = SGD, *, classes: int = 3, groups: bool = False) -> dict[str, Any]:
    state = runner(kind, classes=classes, groups=groups)
    return {
        "meta": {"iter": 3, "epoch": 0},
        "message_hub": {},
        "state_dict": state.model.state_dict(),
        "optimizer": state.optim_wrapper.optimizer.state_dict(),
    }


def runner(kind: Any = SGD, *, classes: int = 3, groups: bool = False) -> SimpleNamespace:
    model = Segmentor(classes)
    parameters = [{"params": [one]} for one in model.parameters()]
    optimizer = kind(parameters if groups else model.parameters(), lr=0.1)
    return SimpleNamespace(model=model, optim_wrapper=SimpleNamespace(optimizer=optimizer))


def check(checkpoint: dict[str, Any], run: SimpleNamespace) -> None:
    ResumedStateHook().after_load_checkpoint(run, checkpoint)


def test_the_same_training_goes_on() -> None:
    check(saved(), runner())
    check(saved(Adam), runner(AdamW))  # whose states are alike
    older = saved()
    del older["optimizer"]["param_groups"][0]["nesterov"]  # of another version of PyTorch
    check(older, runner())
    without = saved()
    del without["optimizer"]
    check(without, runner())
    several = runner()
    del several.optim_wrapper.optimizer
    check(saved(), several)


@pytest.mark.parametrize(
    ("checkpoint", "wanted"),
    [
        (
            saved(AdamW),
            "its optimizer has amsgrad, betas.*, SGD of the config dampening, .*",
        ),
        (saved(groups=True), "2 groups of 2 parameters, the config's 1 of 2"),
        (saved(classes=5), r"does not fit the config's model:(.|\n)*conv_seg"),
        ({"state_dict": Segmentor().state_dict()}, "no state of a training .it lacks meta, mess"),
    ],
)
def test_another_training_is_refused_before_anything_is_loaded(
    checkpoint: dict[str, Any], wanted: str
) -> None:
    run = runner()
    before = copy.deepcopy(run.model.state_dict())
    with pytest.raises(CheckpointMismatchError, match=wanted):
        check(checkpoint, run)
    assert all(torch.equal(before[name], value) for name, value in run.model.state_dict().items())
