"""Fine-tuning with the batch statistics left alone, TensorFlow's fine_tune_batch_norm=False."""

from __future__ import annotations

from typing import Any

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
