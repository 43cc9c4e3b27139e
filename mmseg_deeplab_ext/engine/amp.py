"""Mixed precision on a CPU, for trying things out."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Iterator

import torch
from mmengine.optim import OptimWrapper
from mmengine.runner.amp import autocast
from torch import nn

from mmseg_deeplab_ext.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class CpuAmpOptimWrapper(OptimWrapper):
    """Forward pass under bfloat16 autocast, for machines without a GPU.

    MMEngine's ``AmpOptimWrapper`` refuses to be built there. bfloat16 has float32's range of
    exponents, so there is no loss to scale.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast, inside the base class's context for gradient accumulation."""
        with super().optim_context(model), autocast(device_type="cpu", dtype=torch.bfloat16):
            yield
