"""Declares what keeps torchvision from being imported beside a torch without CUDA.

Built for CUDA, it describes operators that its own library brings, which can't be loaded there. As
a plugin of pytest (``-p``) this runs before all that imports torchvision.
"""

import torch

for operator in ("nms", "qnms"):
    torch.library.define(
        f"torchvision::{operator}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
    )
