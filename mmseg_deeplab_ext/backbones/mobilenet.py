"""What TensorFlow's MobileNets are built from."""

from __future__ import annotations

from typing import Any

from torch import nn

from mmseg_deeplab_ext.backbones.tapped_backbone import (
    TappedBackbone,
    truncated_normal_init_cfg,
)
from mmseg_deeplab_ext.layers import UnitGeometry, conv_same_module, tf_norm_cfg
from mmseg_deeplab_ext.layers.hard_swish import HardSwish
from mmseg_deeplab_ext.layers.inverted_residual import InvertedResidual, LastConv
from mmseg_deeplab_ext.specs.inverted_residual import LastConvSpec
from mmseg_deeplab_ext.specs.mobilenet import HARD_SWISH, RELU, RELU6, Layer, MobileNetSpec

_INITIAL_STD = 0.09  # slim/nets/mobilenet/mobilenet.py training_scope
_ACTIVATIONS = {RELU: {"type": "ReLU"}, RELU6: {"type": "ReLU6"}, HARD_SWISH: {"type": HardSwish}}


class SlimMobileNet(TappedBackbone):
    """A MobileNet of slim's.

    Args:
        spec: the network.
        with_cp: recompute each unit in the backward pass to save memory.
        norm_cfg: MMCV norm config; TensorFlow's constants unless stated.
        init_cfg: initialisation; slim's by default.
        arguments: those of :class:`TappedBackbone`.
    """

    def __init__(
        self,
        spec: MobileNetSpec,
        *,
        with_cp: bool,
        norm_cfg: dict | None,
        init_cfg: dict | list[dict] | None,
        **arguments: Any,
    ) -> None:
        init_cfg = init_cfg or truncated_normal_init_cfg(_INITIAL_STD)
        super().__init__(spec, init_cfg=init_cfg, **arguments)
        self.widen_factor = spec.widen_factor
        norm_cfg = tf_norm_cfg(norm_cfg, spec.batch_norm)

        def layer(unit: Layer, geometry: UnitGeometry) -> nn.Module:
            layers = dict(norm_cfg=norm_cfg, act_cfg=_ACTIVATIONS[unit.activation])
            if isinstance(unit, LastConvSpec):
                return LastConv(unit.in_channels, unit.channels, 1, **layers)
            return InvertedResidual(
                unit.in_channels,
                unit.channels,
                expanded_channels=unit.expanded,
                kernel_size=unit.kernel,
                squeezed_channels=unit.squeezed,
                fused=unit.fused,
                residual=unit.residual,
                geometry=geometry,
                with_cp=with_cp,
                **layers,
            )

        # Named as in the ResNets; a ConvModule as a direct child would draw weights of its own.
        self.stem = nn.Sequential(
            conv_same_module(
                3,
                spec.stem_channels,
                3,
                geometry=UnitGeometry(spec.entry_stride),
                norm_cfg=norm_cfg,
                act_cfg=_ACTIVATIONS[spec.design.activation],
            )
        )
        self._add_layers(layer)
