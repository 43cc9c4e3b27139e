"""Rules that pair a TensorFlow variable with a PyTorch tensor; no model or file format is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator

import numpy as np

LAYOUTS = {
    "as_is": None,
    "conv": (3, 2, 0, 1),  # HWIO -> OIHW
    "depthwise": (2, 3, 0, 1),  # HWIM -> I,M,H,W, then I*M,1,H,W (M is 1 in every official network)
}
"""Axes of the PyTorch tensor in terms of the TensorFlow one."""


@dataclass(frozen=True)
class Rule:
    """One variable and the tensor it becomes."""

    tf_name: str
    torch_name: str
    layout: str = "as_is"

    def to_torch(self, value: np.ndarray) -> np.ndarray:
        """Rearrange a TensorFlow value to PyTorch's layout."""
        axes = LAYOUTS[self.layout]
        if axes is None:
            return value
        value = value.transpose(axes)
        return value.reshape(-1, 1, *value.shape[2:]) if self.layout == "depthwise" else value

    def to_tf(self, value: np.ndarray) -> np.ndarray:
        """Rearrange a PyTorch value to TensorFlow's layout: the inverse of `to_torch`.

        A depthwise kernel gets one multiple per channel, as in every official network.
        """
        axes = LAYOUTS[self.layout]
        return value if axes is None else value.transpose(np.argsort(axes))

    def tf_shape(self, torch_shape) -> tuple:
        """TensorFlow's shape of a tensor whose PyTorch shape is ``torch_shape``."""
        if self.layout == "as_is":
            return tuple(torch_shape)
        out_channels, in_channels, height, width = torch_shape
        if self.layout == "depthwise":
            return (height, width, out_channels, in_channels)
        return (height, width, in_channels, out_channels)


_BATCH_NORM = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def conv_batch_norm_rules(
    tf_scope: str, torch_conv: str, torch_norm: str, *, depthwise: bool = False
) -> Iterator[Rule]:
    """Rules of a slim convolution without bias and the batch norm inside its scope."""
    leaf, layout = ("depthwise_weights", "depthwise") if depthwise else ("weights", "conv")
    yield Rule(f"{tf_scope}/{leaf}", f"{torch_conv}.weight", layout)
    for tf_leaf, torch_leaf in _BATCH_NORM.items():
        yield Rule(f"{tf_scope}/BatchNorm/{tf_leaf}", f"{torch_norm}.{torch_leaf}")


def conv_module_rules(tf_scope: str, torch_name: str, *, depthwise: bool = False) -> Iterator[Rule]:
    """Rules of a slim convolution that is an MMCV ``ConvModule`` here."""
    yield from conv_batch_norm_rules(
        tf_scope, f"{torch_name}.conv", f"{torch_name}.bn", depthwise=depthwise
    )


def separable_conv_rules(tf_scope: str, torch_name: str) -> Iterator[Rule]:
    """Rules of ``split_separable_conv2d``, here an MMCV ``DepthwiseSeparableConvModule``."""
    yield from conv_module_rules(
        f"{tf_scope}_depthwise", f"{torch_name}.depthwise_conv", depthwise=True
    )
    yield from conv_module_rules(f"{tf_scope}_pointwise", f"{torch_name}.pointwise_conv")
