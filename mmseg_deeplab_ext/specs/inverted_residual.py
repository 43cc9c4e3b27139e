"""The layers of slim's MobileNets after the stem (``expanded_conv`` in its ``conv_blocks.py``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator

from mmseg_deeplab_ext.specs.rule import (
    Rule,
    conv_module_rules,
    conv_rules,
    depthwise_module_rules,
)


@dataclass(frozen=True)
class InvertedResidualSpec:
    """An inverted residual unit: expand, depthwise, project.

    Attributes:
        name: its scope in the network's.
        in_channels: input channels.
        expanded: channels in the middle; the input's where there is no expansion.
        channels: output channels.
        stride: nominal stride.
        kernel: of the depthwise convolution.
        squeezed: channels that the squeeze-excite narrows to; 0 where there is none.
        activation: of the expansion and the depthwise convolution.
        fused: one ordinary convolution expands, has the stride, and stands for the depthwise one
            too; without an expansion only the projection is left.
        residual: whether the input is added where shape and stride allow it.
    """

    name: str
    in_channels: int
    expanded: int
    channels: int
    stride: int
    kernel: int
    squeezed: int
    activation: str
    fused: bool
    residual: bool

    def rules(self, tf_scope: str, torch: str) -> Iterator[Rule]:
        """All its variables."""
        if self.expanded != self.in_channels:
            kernel = self.kernel if self.fused else 1
            shape = (kernel, kernel, self.in_channels, self.expanded)
            yield from conv_module_rules(f"{tf_scope}/expand", f"{torch}.expand", shape=shape)
        if not self.fused:
            yield from depthwise_module_rules(
                f"{tf_scope}/depthwise",
                f"{torch}.depthwise",
                channels=self.expanded,
                kernel=self.kernel,
            )
        if self.squeezed:
            yield from self._squeeze_excite_rules(
                f"{tf_scope}/squeeze_excite", f"{torch}.squeeze_excite"
            )
        shape = (1, 1, self.expanded, self.channels)
        yield from conv_module_rules(f"{tf_scope}/project", f"{torch}.project", shape=shape)

    def _squeeze_excite_rules(self, tf_scope: str, torch: str) -> Iterator[Rule]:
        for tf_name, name, inputs, outputs in (
            ("Conv", "conv1", self.expanded, self.squeezed),
            ("Conv_1", "conv2", self.squeezed, self.expanded),
        ):
            shape = (1, 1, inputs, outputs)
            yield from conv_rules(
                f"{tf_scope}/{tf_name}", f"{torch}.{name}.conv", shape=shape, bias=True
            )


@dataclass(frozen=True)
class LastConvSpec:
    """The 1x1 convolution with batch norm and activation that the later MobileNets end with.

    Attributes:
        name: its scope in the network's.
        in_channels: input channels.
        channels: output channels.
        activation: behind the batch norm.
        stride: nominal stride.
    """

    name: str
    in_channels: int
    channels: int
    activation: str
    stride: int = 1

    def rules(self, tf_scope: str, torch: str) -> Iterator[Rule]:
        """All its variables."""
        shape = (1, 1, self.in_channels, self.channels)
        yield from conv_module_rules(tf_scope, torch, shape=shape)
