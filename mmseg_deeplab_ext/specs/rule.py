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
    """One variable and the tensor it becomes.

    Attributes:
        tf_name: name of the variable.
        torch_name: name of the tensor in the state dict.
        shape: shape of the variable.
        layout: a key of ``LAYOUTS``.
    """

    tf_name: str
    torch_name: str
    shape: tuple[int, ...]
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


_BATCH_NORM = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def conv_batch_norm_rules(
    tf_scope: str, torch_conv: str, torch_norm: str, *, shape: tuple[int, int, int, int]
) -> Iterator[Rule]:
    """Rules of a slim convolution without bias and the batch norm inside its scope.

    Args:
        tf_scope: TensorFlow's scope of both.
        torch_conv: name of the convolution.
        torch_norm: name of the batch norm.
        shape: of the kernel: height, width, input and output channels.
    """
    yield Rule(f"{tf_scope}/weights", f"{torch_conv}.weight", shape, "conv")
    yield from _batch_norm_rules(tf_scope, torch_norm, channels=shape[3])


def conv_module_rules(
    tf_scope: str, torch_name: str, *, shape: tuple[int, int, int, int]
) -> Iterator[Rule]:
    """Rules of a slim convolution that is an MMCV ``ConvModule`` here; ``shape`` as above."""
    yield from conv_batch_norm_rules(
        tf_scope, f"{torch_name}.conv", f"{torch_name}.bn", shape=shape
    )


def depthwise_module_rules(tf_scope: str, torch_name: str, *, channels: int) -> Iterator[Rule]:
    """Rules of a 3x3 depthwise convolution that is an MMCV ``ConvModule`` here."""
    kernel = (3, 3, channels, 1)
    yield Rule(f"{tf_scope}/depthwise_weights", f"{torch_name}.conv.weight", kernel, "depthwise")
    yield from _batch_norm_rules(tf_scope, f"{torch_name}.bn", channels=channels)


def separable_conv_rules(
    tf_scope: str, torch_name: str, *, shape: tuple[int, int, int, int]
) -> Iterator[Rule]:
    """Rules of ``split_separable_conv2d``, here an MMCV ``DepthwiseSeparableConvModule``.

    Args:
        tf_scope: TensorFlow's scope, without ``_depthwise`` and ``_pointwise``.
        torch_name: name of the module.
        shape: of the 3x3 kernel that the two halves stand for.
    """
    channels = shape[2]
    yield from depthwise_module_rules(
        f"{tf_scope}_depthwise", f"{torch_name}.depthwise_conv", channels=channels
    )
    pointwise = (1, 1, channels, shape[3])
    yield from conv_module_rules(
        f"{tf_scope}_pointwise", f"{torch_name}.pointwise_conv", shape=pointwise
    )


def _batch_norm_rules(tf_scope: str, torch_norm: str, *, channels: int) -> Iterator[Rule]:
    for tf_leaf, torch_leaf in _BATCH_NORM.items():
        yield Rule(f"{tf_scope}/BatchNorm/{tf_leaf}", f"{torch_norm}.{torch_leaf}", (channels,))
