"""TensorFlow DeepLab's ResNet v1 backbones: ``ResNetV1`` and ``ResNetV1Beta``."""

from __future__ import annotations

from typing import Sequence

from mmengine.logging import print_log
from torch import Tensor

from mmseg_deeplab_ext.backbones.tapped_backbone import TappedBackbone, conv_stem
from mmseg_deeplab_ext.layers import max_pool_3x3_stride_2_same, tf_norm_cfg
from mmseg_deeplab_ext.layers.output_stride import checked_multi_grid
from mmseg_deeplab_ext.layers.residual_unit import ResidualUnit
from mmseg_deeplab_ext.registry import MODELS
from mmseg_deeplab_ext.specs import ResNetV1BetaSpec, ResNetV1Spec


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
        cascade: how many copies of block 4 follow it, 0 to 3: the DeepLabv3 paper's blocks 5, 6
            and 7, which TensorFlow's DeepLab does not have. Weights that ``init_cfg`` names and
            that end with block 4 start the copies, too; the copies' first unit, which has no
            projection, starts from the second one of block 4.
        output_stride: ratio of image size to final feature size: 4, 8, 16 or 32; in a cascade
            also 64, 128 and 256 (one more for each copy). Later strides become dilations, so
            weights trained at one output stride fit every other one.
        multi_grid: multipliers of the dilation, one per unit of the last block (3; 2 for depth
            18), and of all blocks from 4 on in a cascade. None is 1 each. The official ``_beta``
            ImageNet weights want (1, 2, 4); the paper's best cascade has (1, 2, 1).
        out_indices: which of the four feature maps to return, ascending.
        stem_map: return the stem's output, too, behind the others: stride 2, 64 channels
            (``_beta``: 128, depth 18: 32).
        frozen_stages: freeze the stem (0), and the first blocks (1 to 4; to 7 in a
            cascade); -1 freezes nothing.
        norm_eval: keep all batch norms in evaluation mode (moving statistics fixed).
        with_cp: recompute each unit in the backward pass to save memory. Batch norms in training
            mode then update their moving statistics twice per step, as everywhere in MMCV.
        norm_cfg: MMCV norm config. Batch norms take TensorFlow's momentum (0.05, ``decay`` 0.95)
            and epsilon (1.001e-5) unless stated.
        init_cfg: initialisation; He by default.

    Raises:
        ConfigError: on an argument outside these values.
    """

    spec_type: type[ResNetV1Spec] = ResNetV1Spec

    def __init__(
        self,
        depth: int,
        *,
        cascade: int = 0,
        output_stride: int = 16,
        multi_grid: Sequence[int] | None = None,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        stem_map: bool = False,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        with_cp: bool = False,
        norm_cfg: dict | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        spec = self.spec_type(depth, cascade)
        super().__init__(
            spec,
            output_stride=output_stride,
            out_indices=out_indices,
            stem_map=stem_map,
            frozen_stages=frozen_stages,
            norm_eval=norm_eval,
            init_cfg=init_cfg or _he_init_cfg(),
        )
        grid = checked_multi_grid(
            multi_grid, count=spec.multi_grid_length, place="units in its last block"
        )
        norm_cfg = tf_norm_cfg(norm_cfg, spec.batch_norm)
        self.stem = conv_stem(spec.stem, norm_cfg=norm_cfg)
        self._add_layers(
            lambda unit, geometry: ResidualUnit(
                unit.in_channels,
                unit.width,
                unit.channels,
                kernel_sizes=spec.kernels,
                geometry=geometry,
                norm_cfg=norm_cfg,
                with_cp=with_cp,
            ),
            grids=dict.fromkeys(
                range(len(spec.blocks) - cascade - 1, len(spec.blocks)),
                [(each,) for each in grid],
            ),
        )

    def _first_state(self, stem_map: Tensor) -> Tensor:
        return max_pool_3x3_stride_2_same(stem_map)

    def _complete_own(self, state_dict: dict[str, Tensor]) -> None:
        copies = self.spec.copied_names(state_dict)
        if copies:
            state_dict.update({name: state_dict[source] for name, source in copies.items()})
            blocks = sorted({name.partition(".")[0] for name in copies})
            print_log(f"{self.spec}: {', '.join(blocks)} start from layer4", logger="current")


@MODELS.register_module()
class ResNetV1Beta(ResNetV1):
    """TensorFlow's ``resnet_v1_{18,50,101}_beta``: three 3x3 stem convolutions.

    The variant that DeepLab's ResNet recipes and ImageNet checkpoints use. Arguments and outputs
    as in :class:`ResNetV1`. Input is an RGB image scaled to [-1, 1] (mean 127.5, std 127.5), not
    mean-subtracted. The stem is 128 channels wide (64 in MMSegmentation's ``ResNetV1c``): weights
    such as ``open-mmlab://resnet101_v1c`` do not fit.
    """

    spec_type = ResNetV1BetaSpec


def _he_init_cfg() -> list[dict]:
    return [
        {"type": "Kaiming", "layer": "Conv2d", "mode": "fan_in"},
        {"type": "Constant", "val": 1, "layer": ["_BatchNorm", "GroupNorm"]},
    ]
