"""What torchvision's reference outputs were computed from: weights by name, and images."""

from __future__ import annotations

import zlib

import numpy as np
import torch
from torch import Tensor

from tests.support.deterministic import make_image

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def weights(shapes: dict[str, list[int]]) -> dict[str, Tensor]:
    """A state dict of convolutions and fully connected layers, float32."""
    return {name: torch.from_numpy(_value(name, shape)) for name, shape in shapes.items()}


def normalised_image(height: int, width: int) -> Tensor:
    """The reference image, float64 [1, 3, height, width]."""
    image = (make_image(height, width).astype(np.float64) / 255 - MEAN) / STD
    return torch.from_numpy(image.transpose(2, 0, 1)[None].copy())


def _value(name: str, shape: list[int]) -> np.ndarray:
    random = np.random.RandomState(zlib.crc32(name.encode()))
    if name.endswith(".bias"):
        return random.uniform(-0.2, 0.2, shape).astype(np.float32)
    values = random.standard_normal(shape) * np.sqrt(2.0 / np.prod(shape[1:]))
    return values.astype(np.float32)
