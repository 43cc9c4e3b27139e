"""The swish of straight lines that MobileNetV3 is activated with."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

_SIXTH = float(np.float32(1 / 6))
"""The factor in slim's ``mobilenet_v3.py``. In float64 its rounding shows: 3e-8 of the value."""


class HardSwish(nn.Module):
    """``x * relu6(x + 3) * float32(1 / 6)``.

    Args:
        inplace: what MMCV gives to every activation. It would save nothing: the gradient needs the
            input.
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """Activate a tensor of any shape."""
        activated = F.hardswish(x)  # divides by 6
        return activated * (6 * _SIXTH) if x.dtype == torch.float64 else activated
