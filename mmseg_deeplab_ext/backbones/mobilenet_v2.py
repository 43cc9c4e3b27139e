"""TensorFlow DeepLab's MobileNetV2 backbone."""

from __future__ import annotations

from typing import Iterator, Sequence

from torch import nn

from mmseg_deeplab_ext.arch import (
    MOBILENET_V2,
    MOBILENET_V2_STEM_WIDTH,
    MOBILENET_V2_TAP_BLOCKS,
    mobilenet_v2_expanded_width,
    mobilenet_v2_width,
)
from mmseg_deeplab_ext.backbones.tapped_backbone import TappedBackbone
from mmseg_deeplab_ext.config_values import check_choice
from mmseg_deeplab_ext.conversion.origins import take_tensorflow_weights
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.layers import UnitGeometry, tf_norm_cfg, walk_output_stride
from mmseg_deeplab_ext.layers.inverted_residual import InvertedResidual, conv3x3_same_module
from mmseg_deeplab_ext.registry import MODELS
from mmseg_deeplab_ext.specs.networks import Backbone

_OUTPUT_STRIDES = (8, 16, 32)
_STEM_STRIDE = 2
_INITIAL_STD = 0.09  # slim/nets/mobilenet/mobilenet.py training_scope
_BATCH_NORM_DECAY = 0.997  # there, too
_BATCH_NORM_EPS = 1e-3  # tf_slim's batch_norm, which the scope does not override


@MODELS.register_module()
class MobileNetV2(TappedBackbone):
    """TensorFlow's ``mobilenet_v2`` as DeepLab uses it: up to the 320 channels of ``layer_18``.

    Configs must write ``type="mmseg_deeplab_ext.MobileNetV2"``: the bare name is MMSegmentation's
    own MobileNetV2. That one pads strided convolutions on both sides (TensorFlow: even sizes at the
    bottom and right only), rounds widths to multiples of 8, has other batch-norm constants
    (momentum 0.1, eps 1e-5) and returns the outputs of whole stages.

    Input is an RGB image scaled to [-1, 1] (mean 127.5, std 127.5).

    The outputs follow MMSegmentation's contract of four feature maps. 0, 1 and 2 are the features
    that DeepLab's decoder taps, at strides 4, 8 and 16 (or ``output_stride``, if that is smaller):
    the depthwise convolution, after batch norm and ReLU6, of the last unit before the stride. 3 is
    the final feature map, which is linear and can be negative.

    ============  ===================  =============
    widen_factor  channels of 0, 1, 2  channels of 3
    ============  ===================  =============
    0.5           72, 96, 288          160
    1.0           144, 192, 576        320
    ============  ===================  =============

    Args:
        widen_factor: multiplier of all widths, TensorFlow's ``depth_multiplier``.
        output_stride: ratio of image size to final feature size: 8, 16 or 32. Later strides
            become dilations, so weights trained at one output stride fit every other one.
        out_indices: which of the four feature maps to return, ascending.
        frozen_stages: freeze the stem (0), and the first blocks (1 to 7); -1 freezes nothing.
        norm_eval: keep all batch norms in evaluation mode (moving statistics fixed).
        with_cp: recompute each unit in the backward pass to save memory. Batch norms in training
            mode then update their moving statistics twice per step, as everywhere in MMCV.
        norm_cfg: MMCV norm config. Batch norms take TensorFlow's momentum (0.003, ``decay`` 0.997)
            and epsilon (1e-3) unless stated.
        init_cfg: initialisation; a truncated normal with a standard deviation of 0.09 by default,
            as in slim.

    Raises:
        ConfigError: on an argument outside these values.
    """

    def __init__(
        self,
        widen_factor: float = 1.0,
        *,
        output_stride: int = 16,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        frozen_stages: int = -1,
        norm_eval: bool = False,
        with_cp: bool = False,
        norm_cfg: dict | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        _check_widen_factor(widen_factor)
        check_choice("output_stride", output_stride, _OUTPUT_STRIDES)
        super().__init__(
            len(MOBILENET_V2),
            out_indices=out_indices,
            frozen_stages=frozen_stages,
            norm_eval=norm_eval,
            init_cfg=init_cfg or _slim_init_cfg(),
        )
        self.widen_factor = widen_factor
        norm_cfg = tf_norm_cfg(norm_cfg, decay=_BATCH_NORM_DECAY, eps=_BATCH_NORM_EPS)
        channels = mobilenet_v2_width(MOBILENET_V2_STEM_WIDTH, widen_factor)
        # Named as in the ResNets; a ConvModule as a direct child would draw weights of its own.
        self.stem = nn.Sequential(
            conv3x3_same_module(
                3, channels, geometry=UnitGeometry(_STEM_STRIDE, 1), norm_cfg=norm_cfg
            )
        )
        geometry = walk_output_stride(
            [block.unit_strides for block in MOBILENET_V2],
            entry_stride=_STEM_STRIDE,
            output_stride=output_stride,
        )
        layers = _make_layers(
            channels,
            widen_factor=widen_factor,
            geometry=geometry,
            norm_cfg=norm_cfg,
            with_cp=with_cp,
        )
        taps = [(block, MOBILENET_V2[block].units - 1) for block in MOBILENET_V2_TAP_BLOCKS]
        self._add_layers(layers, tap_units=taps)
        take_tensorflow_weights(self, Backbone("MobileNetV2", widen_factor))


def _make_layers(
    channels: int,
    *,
    widen_factor: float,
    geometry: list[list[UnitGeometry]],
    norm_cfg: dict,
    with_cp: bool,
) -> Iterator[nn.ModuleList]:
    """The units of every block, behind a stem with ``channels`` output channels."""
    for block, units in zip(MOBILENET_V2, geometry):
        width = mobilenet_v2_width(block.width, widen_factor)
        layer = nn.ModuleList()
        for unit in units:
            layer.append(
                InvertedResidual(
                    channels,
                    width,
                    expanded_channels=mobilenet_v2_expanded_width(channels, block.expansion),
                    geometry=unit,
                    norm_cfg=norm_cfg,
                    with_cp=with_cp,
                )
            )
            channels = width
        yield layer


def _slim_init_cfg() -> list[dict]:
    # TensorFlow cuts at two standard deviations, PyTorch at the values given.
    cut = 2 * _INITIAL_STD
    kernels = {"type": "TruncNormal", "layer": "Conv2d", "std": _INITIAL_STD, "a": -cut, "b": cut}
    return [kernels, {"type": "Constant", "val": 1, "layer": ["_BatchNorm", "GroupNorm"]}]


def _check_widen_factor(widen_factor: float) -> None:
    number = isinstance(widen_factor, (int, float)) and not isinstance(widen_factor, bool)
    if not number or not 0 < widen_factor < float("inf"):
        raise ConfigError(
            f"widen_factor={widen_factor!r} must be a number greater than 0: TensorFlow's depth "
            "multiplier, 1.0 or 0.5 in the official models"
        )
