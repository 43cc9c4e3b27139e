"""A rule pairs a TensorFlow variable with a PyTorch tensor; no model or file format is known."""

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

_BATCH_NORM = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


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


def conv_rules(
    tf_scope: str,
    torch_conv: str,
    *,
    shape: tuple[int, int, int, int],
    norm: str | None = None,
    norm_scope: str | None = None,
    bias: bool = False,
) -> Iterator[Rule]:
    """Rules of a convolution, its bias, and the batch norm behind it (``norm``), if it has one.

    Args:
        tf_scope: TensorFlow's scope of the convolution.
        torch_conv: name of the convolution.
        shape: of the kernel: height, width, input and output channels.
        norm: name of the batch norm.
        norm_scope: TensorFlow's scope of the batch norm; by default, as slim has it, ``BatchNorm``
            in the convolution's.
        bias: whether there is one.
    """
    yield Rule(f"{tf_scope}/weights", f"{torch_conv}.weight", shape, "conv")
    if bias:
        yield Rule(f"{tf_scope}/biases", f"{torch_conv}.bias", shape[3:])
    if norm is not None:
        yield from norm_rules(norm_scope or f"{tf_scope}/BatchNorm", norm, channels=shape[3])


def depthwise_rules(
    tf_scope: str, torch_conv: str, *, channels: int, kernel: int = 3, norm: str | None = None
) -> Iterator[Rule]:
    """Rules of a depthwise convolution, with the batch norm in its scope if ``norm`` names one."""
    shape = (kernel, kernel, channels, 1)
    yield Rule(f"{tf_scope}/depthwise_weights", f"{torch_conv}.weight", shape, "depthwise")
    if norm is not None:
        yield from norm_rules(f"{tf_scope}/BatchNorm", norm, channels=channels)


def norm_rules(tf_scope: str, torch_norm: str, *, channels: int) -> Iterator[Rule]:
    """Rules of a batch norm."""
    for tf_leaf, torch_leaf in _BATCH_NORM.items():
        yield Rule(f"{tf_scope}/{tf_leaf}", f"{torch_norm}.{torch_leaf}", (channels,))


def conv_module_rules(
    tf_scope: str, torch_name: str, *, shape: tuple[int, int, int, int]
) -> Iterator[Rule]:
    """Rules of a convolution with batch norm that is an MMCV ``ConvModule`` here."""
    yield from conv_rules(tf_scope, f"{torch_name}.conv", shape=shape, norm=f"{torch_name}.bn")


def depthwise_module_rules(
    tf_scope: str, torch_name: str, *, channels: int, kernel: int = 3
) -> Iterator[Rule]:
    """Rules of a depthwise convolution with batch norm that is an MMCV ``ConvModule`` here."""
    yield from depthwise_rules(
        tf_scope, f"{torch_name}.conv", channels=channels, kernel=kernel, norm=f"{torch_name}.bn"
    )


def separable_module_rules(
    tf_scope: str, torch_name: str, *, shape: tuple[int, int, int, int]
) -> Iterator[Rule]:
    """Rules of ``split_separable_conv2d``, here an MMCV ``DepthwiseSeparableConvModule``.

    ``shape`` is that of the kernel which the halves ``_depthwise`` and ``_pointwise`` stand for.
    """
    kernel, _, inputs, outputs = shape
    yield from depthwise_module_rules(
        f"{tf_scope}_depthwise", f"{torch_name}.depthwise_conv", channels=inputs, kernel=kernel
    )
    yield from conv_module_rules(
        f"{tf_scope}_pointwise", f"{torch_name}.pointwise_conv", shape=(1, 1, inputs, outputs)
    )
