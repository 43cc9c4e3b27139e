"""The bilinear resize that DeepLab uses everywhere."""

from __future__ import annotations

from typing import Sequence

from torch import Tensor
from torch.nn import functional as F


def resize_bilinear(
    x: Tensor, size: Sequence[int | Tensor], *, align_corners: bool = True
) -> Tensor:
    """Resize [N, C, h, w] to [N, C, H, W].

    Args:
        x: images, features, logits or probabilities.
        size: (H, W); tensors while PyTorch traces a network.
        align_corners: whether the corner pixels fall together, as in TensorFlow's DeepLab
            (core/utils.py).
    """
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=align_corners)
