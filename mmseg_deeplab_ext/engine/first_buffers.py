"""One network for all processes to validate: the moving statistics of the first."""

from __future__ import annotations

from typing import Any

from mmengine.dist import broadcast
from mmengine.hooks import Hook

from mmseg_deeplab_ext.registry import HOOKS


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
