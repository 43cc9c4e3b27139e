"""Weights and images of the golden files, computed from names and sizes (NumPy alone).

The goldens are outputs of the official TensorFlow graph whose every variable holds the value that
:func:`value` gives for its TensorFlow name and shape.
"""

import re
import zlib

import numpy as np

_CLOSES_RESIDUAL_BRANCH = re.compile(
    r"(/bottleneck_v1/conv3|/lite_bottleneck_v1/conv2|/xception_module/separable_conv3_pointwise"
    r"|/expanded_conv(_\d+)?/project)/BatchNorm/gamma$"
)


def value(name: str, shape, seed: int = 0) -> np.ndarray:
    """float32 value of the variable ``name`` with TensorFlow's ``shape``."""
    shape = tuple(int(size) for size in shape)
    random = np.random.RandomState(zlib.crc32(f"{seed}:{name}".encode()))
    leaf = name.rsplit("/", 1)[-1]
    if leaf in ("weights", "pointwise_weights"):
        result = random.standard_normal(shape) * np.sqrt(2.0 / np.prod(shape[:-1]))
    elif leaf == "depthwise_weights":
        result = random.standard_normal(shape) * np.sqrt(2.0 / (shape[0] * shape[1]))
    elif leaf in ("biases", "beta", "moving_mean"):
        result = random.uniform(-0.2, 0.2, shape)
    elif leaf == "gamma":
        gain = 0.3 if _CLOSES_RESIDUAL_BRANCH.search(name) else 1.0
        result = random.uniform(0.5, 1.5, shape) * gain
    elif leaf == "moving_variance":
        result = random.uniform(0.5, 1.5, shape)
    else:
        raise ValueError(f"no rule for the variable {name!r}")
    return np.asarray(result).astype(np.float32)


def make_image(height: int, width: int, seed: int = 0) -> np.ndarray:
    """uint8 RGB image [height, width, 3]: three moving sinusoids and noise."""
    random = np.random.RandomState(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    image = np.empty((height, width, 3))
    for channel in range(3):
        frequency_y, frequency_x = random.uniform(0.02, 0.25, 2)
        phase = random.uniform(0, 6.28)
        wave = 70 * np.sin(frequency_y * y + frequency_x * x + phase)
        image[..., channel] = 127.5 + wave + 30 * np.cos(0.11 * (x - y) + channel)
    image += random.uniform(-25, 25, image.shape)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)
