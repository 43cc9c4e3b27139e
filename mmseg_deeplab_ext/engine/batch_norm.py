"""Hooks for the moving statistics of batch norms: left alone, or the same in all processes."""

from __future__ import annotations

from typing import Any

from mmengine.dist import broadcast
from mmengine.hooks import Hook
from torch.nn.modules.batchnorm import _BatchNorm

from mmseg_deeplab_ext.registry import HOOKS


@HOOKS.register_module()
class FreezeBatchNormHook(Hook):
    """Run every batch norm of the segmentor with its moving statistics while training.

    The moving mean and variance stay as they are; gamma and beta are still trained (freeze them
    with ``optim_wrapper.paramwise_cfg`` or the backbone's ``frozen_stages``). This is what
    ``--fine_tune_batch_norm=False`` does in Google's DeepLab, there for the whole network, whereas
    the backbone's ``norm_eval`` leaves out the decode head.

    The training loops call ``model.train()`` before each epoch or each iteration, which would
    undo it; so the hook acts before each iteration.
    """

    priority = "NORMAL"

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Put the batch norms back into evaluation mode."""
        for module in runner.model.modules():
            if isinstance(module, _BatchNorm):
                module.eval()


@HOOKS.register_module()
class FirstProcessBuffersHook(Hook):
    """Give every process the first one's buffers before a validation.

    Without synchronised batch norm each process keeps moving statistics of its own images, and
    each would validate its part of the data with another network than the checkpoint's.
    TensorFlow's DeepLab keeps the statistics of its first clone too. MMEngine's
    ``SyncBuffersHook`` averages them, but after the iteration's checkpoint was written.
    """

    priority = "LOW"  # after EMAHook has put its averages into the model

    def before_val_epoch(self, runner: Any) -> None:
        """Broadcast the buffers of the process with rank 0."""
        for buffer in runner.model.buffers():
            broadcast(buffer)
