"""TensorFlow DeepLab's training loss."""

from __future__ import annotations

import pickle
from typing import Sequence

import numpy as np
import torch
from mmengine.logging import MessageHub
from mmseg.models.losses.utils import get_class_weight
from torch import Tensor, nn
from torch.nn import functional as F

from mmseg_deeplab_ext.config_values import is_number, is_whole
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.registry import MODELS

_NOTHING_IGNORED = -100  # F.cross_entropy's own "no such label"


@MODELS.register_module()
class DeepLabCrossEntropyLoss(nn.Module):
    """Softmax cross entropy with TensorFlow's normalisation, class weights and hard-pixel mining.

    As ``add_softmax_cross_entropy_loss_for_each_scale`` in ``deeplab/utils/train_utils.py``:

    - The weighted losses of all pixels are summed and divided by the *number* of pixels that are
      not ignored, class weights or not (PyTorch divides by the sum of the weights, MMSegmentation
      by default by all pixels). Without any such pixel the loss and its gradient are 0.
    - With ``top_k_percent_pixels`` below 1 only the largest losses count, chosen among all pixels
      of the batch, ignored ones included, and are divided by how many of them are not 0.

    Half-precision logits are computed with in float32.

    Args:
        class_weight: weight of each class, at least 0, or a file with them, as in MMSegmentation's
            losses (TensorFlow: ``label_weights``).
        loss_weight: factor on the whole loss.
        top_k_percent_pixels: share of the pixels to train on, above 0 and at most 1, which trains
            on all of them.
        hard_example_mining_step: iterations over which the share goes down in a straight line from
            1 to ``top_k_percent_pixels``; 0 starts with ``top_k_percent_pixels``. The iteration is
            that of MMEngine's Runner (with gradient accumulation it counts forward passes);
            without a Runner the share is ``top_k_percent_pixels``.
        loss_name: name in the log; what does not start with ``loss_`` is not trained on.

    Raises:
        ConfigError: on a value outside these.
    """

    def __init__(
        self,
        *,
        class_weight: Sequence[float] | str | None = None,
        loss_weight: float = 1.0,
        top_k_percent_pixels: float = 1.0,
        hard_example_mining_step: int = 0,
        loss_name: str = "loss_ce",
    ) -> None:
        super().__init__()
        if not is_number(top_k_percent_pixels, above=0) or top_k_percent_pixels > 1:
            raise ConfigError(
                f"top_k_percent_pixels={top_k_percent_pixels!r} is the share of the pixels to "
                "train on: above 0 and at most 1, for example 0.25"
            )
        if not is_whole(hard_example_mining_step, minimum=0):
            raise ConfigError(
                f"hard_example_mining_step={hard_example_mining_step!r} must be a number of "
                "iterations, or 0"
            )
        if hard_example_mining_step and top_k_percent_pixels == 1:
            raise ConfigError(
                f"hard_example_mining_step={hard_example_mining_step} leads to nothing with "
                "top_k_percent_pixels=1: set that below 1, or leave the step out"
            )
        if not is_number(loss_weight) or loss_weight < 0:
            raise ConfigError(f"loss_weight={loss_weight!r} must be a number of at least 0")
        if not isinstance(loss_name, str):
            raise ConfigError(f"loss_name={loss_name!r} must be a string, such as 'loss_ce'")
        self.class_weight = _weights(class_weight)
        self.loss_weight = loss_weight
        self.top_k_percent_pixels = top_k_percent_pixels
        self.hard_example_mining_step = hard_example_mining_step
        self._loss_name = loss_name

    @property
    def loss_name(self) -> str:
        """Name in the log, where MMSegmentation's heads look for it."""
        return self._loss_name

    def forward(
        self,
        cls_score: Tensor,
        label: Tensor,
        weight: Tensor | None = None,
        ignore_index: int | None = 255,
        reduction_override: str | None = None,
    ) -> Tensor:
        """Compute the loss.

        Args:
            cls_score: logits [N, C, H, W].
            label: class indices [N, H, W].
            weight: further weights of the pixels [N, H, W], such as a sampler's.
            ignore_index: the label of pixels that do not count, or None.
            reduction_override: "none" returns the losses of the pixels, which MMSegmentation's
                samplers ask for.

        Returns:
            A scalar, or [N, H, W].

        Raises:
            ConfigError: if there is one channel only, not one weight per class, or another
                ``reduction_override``.
        """
        self._check_channels(cls_score.shape[1])
        if reduction_override not in (None, "none"):
            raise ConfigError(f"reduction_override={reduction_override!r} must be None or 'none'")
        if cls_score.dtype in (torch.float16, torch.bfloat16):
            cls_score = cls_score.float()
        given = self.class_weight
        class_weight = None if given is None else cls_score.new_tensor(given)
        ignore_index = _NOTHING_IGNORED if ignore_index is None else ignore_index
        losses = F.cross_entropy(
            cls_score, label, weight=class_weight, ignore_index=ignore_index, reduction="none"
        )
        if weight is not None:
            losses = losses * weight
        if reduction_override == "none":
            return self.loss_weight * losses
        if self.top_k_percent_pixels == 1:
            count = (label != ignore_index).sum()
        else:
            losses = self._hardest(losses.flatten())
            count = (losses != 0).sum()
        # Where nothing counts the sum is 0, and so is the loss, whatever it is divided by.
        return self.loss_weight * (losses.sum() / count.clamp(min=1))

    def _hardest(self, losses: Tensor) -> Tensor:
        share = self.top_k_percent_pixels
        step = MessageHub.get_current_instance().get_info("iter")
        if self.hard_example_mining_step and step is not None:
            ratio = min(1.0, step / self.hard_example_mining_step)
            share = ratio * share + (1 - ratio)
        return losses.topk(int(share * losses.numel()), sorted=False).values

    def _check_channels(self, channels: int) -> None:
        if channels == 1:
            raise ConfigError(
                "a softmax over one channel is always 1: give the head out_channels=2, or "
                "loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=True)"
            )
        if self.class_weight is not None and len(self.class_weight) != channels:
            raise ConfigError(
                f"class_weight has {len(self.class_weight)} values, but there are {channels} "
                "classes: give one value for each class, in the order of the labels"
            )


def _weights(given: Sequence[float] | str | None) -> list[float] | None:
    """Weights of the classes as MMSegmentation reads them, checked."""
    try:
        loaded = get_class_weight(given)
    except (EOFError, OSError, TypeError, ValueError, pickle.UnpicklingError) as error:
        raise ConfigError(
            f"class_weight={given!r} can't be read: {error}. Expected is a file with a list of "
            "numbers that NumPy (.npy) or MMEngine (.json, .yaml, .pkl) reads."
        ) from error
    if loaded is None:
        return None
    try:
        weights = np.asarray(loaded, dtype=np.float64)
    except (TypeError, ValueError):
        weights = np.empty(0)
    if weights.ndim != 1 or not weights.size or not (np.isfinite(weights) & (weights >= 0)).all():
        raise ConfigError(
            f"class_weight={given!r} must be a list of numbers, at least 0 and finite: one for "
            "each class, in the order of the labels"
        )
    return weights.tolist()
