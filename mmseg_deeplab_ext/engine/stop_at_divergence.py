"""The end of a training whose loss is no number any more."""

from __future__ import annotations

import math
from typing import Any, Iterator, Mapping

import torch
from mmengine.hooks import CheckpointHook, Hook
from torch import Tensor, nn

from mmseg_deeplab_ext.errors import TrainingDivergedError
from mmseg_deeplab_ext.registry import HOOKS

_SKIPPED_STEPS = 20
"""Losses in a row that are not finite which a training with a loss scaler may skip."""

_ADVICE = (
    "Try a lower learning rate (optim_wrapper.optimizer.lr), a warm-up (a LinearLR first in "
    "param_scheduler) or optim_wrapper.clip_grad=dict(max_norm=10); and look at the labels of the "
    "batch. Checkpoints in {work_dir} are from before."
)


@HOOKS.register_module()
class StopAtDivergenceHook(Hook):
    """Stop a training as soon as its loss, or a weight, is not finite.

    TensorFlow's DeepLab stops with "Loss is inf or nan". The losses are those that MMEngine has
    brought to the CPU for its log: nothing waits for the GPU. Weights are looked at before a
    validation or a checkpoint, so that a network of NaNs is neither scored nor saved; its loss may
    still have been finite. With a loss scaler the steps of single bad losses are skipped, and the
    training recovers; there it is stopped after more than 20 in a row.
    """

    priority = "LOW"  # after LoggerHook, which may still log the loss, before CheckpointHook

    def __init__(self) -> None:
        self._bad_in_a_row = 0

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Look at the losses of the iteration.

        Raises:
            TrainingDivergedError: One is not finite.
        """
        bad = _first_bad_loss(runner, outputs or {})
        self._bad_in_a_row = self._bad_in_a_row + 1 if bad else 0
        scaled = getattr(runner.optim_wrapper, "loss_scaler", None) is not None
        if self._bad_in_a_row > (_SKIPPED_STEPS if scaled else 0):
            raise _diverged(runner, f"{bad} at iteration {runner.iter + 1}")
        # Here, since a CheckpointHook removes the oldest file before it saves the next.
        if any(_saves_now(h, runner) for h in runner.hooks if isinstance(h, CheckpointHook)):
            _demand_finite(runner, iteration=runner.iter + 1)

    def after_train_epoch(self, runner: Any) -> None:
        """Look at the weights that would be saved.

        Raises:
            TrainingDivergedError: One is not finite.
        """
        _demand_finite(runner, iteration=runner.iter)

    def before_val_epoch(self, runner: Any) -> None:
        """Look at the weights that would be scored.

        Raises:
            TrainingDivergedError: One is not finite, in a validation of a training.
        """
        if runner.message_hub.runtime_info.get("iter") is not None:
            _demand_finite(runner, iteration=runner.iter)


def _first_bad_loss(runner: Any, outputs: Mapping[str, Any]) -> str:
    """A loss of this iteration that is not finite, in words; empty if all are."""
    logged = runner.message_hub.log_scalars
    for name in outputs:
        history = logged.get(f"train/{name}")
        if "loss" in name and history is not None and not math.isfinite(history.current()):
            return f"{name} is {history.current()}"
    return ""


def _saves_now(hook: CheckpointHook, runner: Any) -> bool:
    last = hook.save_last and hook.is_last_train_iter(runner)
    return not hook.by_epoch and (last or hook.every_n_train_iters(runner, hook.interval))


def _demand_finite(runner: Any, *, iteration: int) -> None:
    for name, value in _trained(runner.model):
        if not bool(torch.isfinite(value).all()):
            raise _diverged(runner, f"{name} is not finite after iteration {iteration}")


def _trained(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """What training changes; other buffers, such as masks, may well be infinite."""
    yield from model.named_parameters()
    for name, value in model.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            yield name, value


def _diverged(runner: Any, what: str) -> TrainingDivergedError:
    rates = runner.message_hub.log_scalars.get("train/lr")
    rate = f", with the learning rate {rates.current():g}" if rates else ""
    advice = _ADVICE.format(work_dir=runner.work_dir)
    return TrainingDivergedError(f"The training has diverged: {what}{rate}. {advice}")
