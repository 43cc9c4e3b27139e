"""TensorFlow's 'SAME' padding where PyTorch's symmetric padding differs from it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def max_pool_3x3_stride_2_same(x: Tensor) -> Tensor:
    """3x3 max pooling with stride 2 and TensorFlow's 'SAME' padding.

    'SAME' pads an odd size by one on both sides, but an even size by one at the bottom or right
    only; ``nn.MaxPool2d(3, 2, 1)`` pads both sides always, which shifts every window of an even
    image. Ceil mode lets the last window run over the border of an even size, which is the same as
    padding it there.

    Args:
        x: [N, C, H, W].

    Returns:
        [N, C, ceil(H / 2), ceil(W / 2)].
    """
    height, width = x.shape[-2:]
    if torch.jit.is_tracing():
        # The padding of ONNX's pools is a constant. That of F.pad is computed from each image.
        x = F.pad(x, (width % 2, 1, height % 2, 1), value=float("-inf"))
        return F.max_pool2d(x, 3, stride=2)
    return F.max_pool2d(x, 3, stride=2, padding=(height % 2, width % 2), ceil_mode=True)
