"""TensorFlow DeepLab's ResNet v1 backbones: ``ResNetV1`` and ``ResNetV1Beta``."""

from __future__ import annotations

from typing import Sequence

from mmcv.cnn import ConvModule
from torch import Tensor, nn

from mmseg_deeplab_ext.arch import PLAIN_STEM_WIDTH, RESNET_V1
from mmseg_deeplab_ext.backbones.tapped_backbone import TappedBackbone
from mmseg_deeplab_ext.config_values import check_choice
from mmseg_deeplab_ext.conversion.origins import take_tensorflow_weights
from mmseg_deeplab_ext.layers import (
    FUSED_BATCH_NORM_EPS,
    max_pool_3x3_stride_2_same,
    tf_norm_cfg,
    walk_output_stride,
)
from mmseg_deeplab_ext.layers.residual_unit import ResidualUnit
from mmseg_deeplab_ext.registry import MODELS
from mmseg_deeplab_ext.specs.networks import Backbone

OUTPUT_STRIDES = (4, 8, 16, 32)
_STEM_STRIDE = 4


@MODELS.register_module()
class ResNetV1(TappedBackbone):
    """TensorFlow's ``resnet_v1_{18,50,101}``: one 7x7 stem convolution.

    Differs from torchvision's and MMSegmentation's ResNet in where the stride sits (last unit of a
    block, with a subsampled shortcut), in the padding of the max pool, in ``multi_grid`` (which
    multiplies the dilation) and in the batch-norm constants, so their weights do not fit.

    Input is an RGB image; this variant subtracts the mean [123.15, 115.90, 103.06] and does not
    divide.

    The outputs follow MMSegmentation's contract of four feature maps. 0, 1 and 2 are the features
    that DeepLab's decoder taps, at strides 4, 8 and 16 (or ``output_stride``, if that is smaller):
    the residual branch of the last unit before the stride, *before* the addition and the ReLU. So
    they can be negative; any head works on them. 3 is the final feature map.

    ========  ======================  ==========================
    depth     channels of 0, 1, 2     channels of 3
    ========  ======================  ==========================
    18        64, 128, 256            512
    50, 101   256, 512, 1024          2048
    ========  ======================  ==========================

    Args:
        depth: 18, 50 or 101.
        output_stride: ratio of image size to final feature size: 4, 8, 16 or 32. Later strides
            become dilations, so weights trained at one output stride fit every other one.
        multi_grid: multipliers of the dilation, one per unit of the last block (3; 2 for depth
            18). None is 1 each. The official ``_beta`` ImageNet weights want (1, 2, 4).
        out_indices: which of the four feature maps to return, ascending.
        frozen_stages: freeze the stem (0), and the first blocks (1 to 4); -1 freezes nothing.
        norm_eval: keep all batch norms in evaluation mode (moving statistics fixed).
        with_cp: recompute each unit in the backward pass to save memory. Batch norms in training
            mode then update their moving statistics twice per step, as everywhere in MMCV.
        norm_cfg: MMCV norm config. Batch norms take TensorFlow's momentum (0.05, ``decay`` 0.95)
            and epsilon (1.001e-5) unless stated.
        init_cfg: initialisation; He by default.

    Raises:
        ConfigError: on an argument outside these values.
    """

    beta = False

    def __init__(
        self,
        depth: int,
        *,
        output_stride: int = 16,
        multi_grid: Sequence[int] | None = None,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        frozen_stages: int = -1,
        norm_eval: bool = False,
        with_cp: bool = False,
        norm_cfg: dict | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        check_choice("depth", depth, tuple(RESNET_V1))
        check_choice("output_stride", output_stride, OUTPUT_STRIDES)
        arch = RESNET_V1[depth]
        super().__init__(
            len(arch.blocks),
            out_indices=out_indices,
            frozen_stages=frozen_stages,
            norm_eval=norm_eval,
            init_cfg=init_cfg or _he_init_cfg(),
        )
        self.arch = arch
        norm_cfg = tf_norm_cfg(norm_cfg, decay=0.95, eps=FUSED_BATCH_NORM_EPS)
        self.stem, channels = self._make_stem(norm_cfg)
        geometry = walk_output_stride(
            [block.unit_strides for block in self.arch.blocks],
            entry_stride=_STEM_STRIDE,
            output_stride=output_stride,
            multi_grid=multi_grid,
        )
        layers = []
        for block, units in zip(self.arch.blocks, geometry):
            layer = nn.ModuleList()
            for unit in units:
                layer.append(
                    ResidualUnit(
                        channels,
                        block.width,
                        expansion=self.arch.expansion,
                        kernel_sizes=self.arch.kernel_sizes,
                        geometry=unit,
                        norm_cfg=norm_cfg,
                        with_cp=with_cp,
                    )
                )
                channels = block.width * self.arch.expansion
            layers.append(layer)
        self._add_layers(layers, tap_units=enumerate(self.arch.tap_units))
        family = "ResNetV1Beta" if self.beta else "ResNetV1"
        take_tensorflow_weights(self, Backbone(family, depth))

    def _make_stem(self, norm_cfg: dict) -> tuple[nn.Sequential, int]:
        """Stem convolutions up to the max pool, and their output channels."""
        if not self.beta:
            stem = ConvModule(3, PLAIN_STEM_WIDTH, 7, stride=2, padding=3, norm_cfg=norm_cfg)
            return nn.Sequential(stem), PLAIN_STEM_WIDTH
        widths = self.arch.beta_stem
        return nn.Sequential(
            *(
                ConvModule(a, b, 3, stride=stride, padding=1, norm_cfg=norm_cfg)
                for a, b, stride in zip((3, *widths), widths, (2, 1, 1))
            )
        ), widths[-1]

    def _forward_stem(self, x: Tensor) -> Tensor:
        return max_pool_3x3_stride_2_same(self.stem(x))


@MODELS.register_module()
class ResNetV1Beta(ResNetV1):
    """TensorFlow's ``resnet_v1_{18,50,101}_beta``: three 3x3 stem convolutions.

    The variant that DeepLab's ResNet recipes and ImageNet checkpoints use. Arguments and outputs
    as in :class:`ResNetV1`. Input is an RGB image scaled to [-1, 1] (mean 127.5, std 127.5), not
    mean-subtracted. The stem is 128 channels wide (64 in MMSegmentation's ``ResNetV1c``): weights
    such as ``open-mmlab://resnet101_v1c`` do not fit.
    """

    beta = True


def _he_init_cfg() -> list[dict]:
    return [
        {"type": "Kaiming", "layer": "Conv2d", "mode": "fan_in"},
        {"type": "Constant", "val": 1, "layer": ["_BatchNorm", "GroupNorm"]},
    ]
