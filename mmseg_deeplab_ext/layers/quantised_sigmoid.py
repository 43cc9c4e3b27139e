"""The sigmoid of straight lines that squeeze-and-excites are gated with."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def quantised_sigmoid(x: Tensor) -> Tensor:
    """From 0 at -3 to 1 at 3: ``q_sigmoid`` of ``core/utils.py``.

    The factor is that of the official code, which is not 1/6.
    """
    return F.relu6(x + 3) * 0.16667
