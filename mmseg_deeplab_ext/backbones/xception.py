"""TensorFlow DeepLab's Xception backbone."""

from __future__ import annotations

from typing import Sequence

from mmseg_deeplab_ext.backbones.tapped_backbone import (
    TappedBackbone,
    conv_stem,
    truncated_normal_init_cfg,
)
from mmseg_deeplab_ext.layers import tf_norm_cfg
from mmseg_deeplab_ext.layers.output_stride import checked_multi_grid
from mmseg_deeplab_ext.layers.xception_module import XceptionModule
from mmseg_deeplab_ext.registry import MODELS
from mmseg_deeplab_ext.specs import XceptionSpec

_INITIAL_STD = 0.09  # core/xception.py xception_arg_scope


@MODELS.register_module()
class Xception(TappedBackbone):
    """TensorFlow's ``xception_{41,65,71}`` as DeepLab modified it.

    Input is an RGB image scaled to [-1, 1] (mean 127.5, std 127.5).

    The outputs follow MMSegmentation's contract of four feature maps. 0, 1 and 2 are the features
    that DeepLab's decoder taps, at strides 4, 8 and 16 (or ``output_stride``, if that is smaller):
    in the unit that has the next stride, the second separable convolution after its batch norm and
    *before* the ReLU. So they can be negative; any head works on them. They have 256, 728 and 1024
    channels. 3 is the final feature map, with 2048 channels.

    Args:
        depth: 41, 65 or 71.
        output_stride: ratio of image size to final feature size: 8, 16 or 32. Later strides
            become dilations, so weights trained at one output stride fit every other one.
        multi_grid: multipliers of the dilation, one for each of the three convolutions of the last
            block. None is 1 each.
        out_indices: which of the four feature maps to return, ascending.
        stem_map: return the stem's output, too, behind the others: stride 2, 64 channels.
        frozen_stages: freeze the stem (0), and the first of TensorFlow's blocks (1 to 6; to 8 for
            depth 71); -1 freezes nothing.
        norm_eval: keep all batch norms in evaluation mode (moving statistics fixed).
        with_cp: recompute each unit in the backward pass to save memory. Batch norms in training
            mode then update their moving statistics twice per step, as everywhere in MMCV.
        norm_cfg: MMCV norm config. Batch norms take TensorFlow's momentum (0.0003, ``decay``
            0.9997) and epsilon (1e-3) unless stated.
        init_cfg: initialisation; a truncated normal with a standard deviation of 0.09 by default,
            as in the official code.

    Raises:
        ConfigError: on an argument outside these values.
    """

    def __init__(
        self,
        depth: int,
        *,
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
        spec = XceptionSpec(depth)
        super().__init__(
            spec,
            output_stride=output_stride,
            out_indices=out_indices,
            stem_map=stem_map,
            frozen_stages=frozen_stages,
            norm_eval=norm_eval,
            init_cfg=init_cfg or truncated_normal_init_cfg(_INITIAL_STD),
        )
        grid = checked_multi_grid(
            multi_grid, count=spec.multi_grid_length, place="convolutions in its last block"
        )
        norm_cfg = tf_norm_cfg(norm_cfg, spec.batch_norm)
        self.stem = conv_stem(spec.stem, norm_cfg=norm_cfg)
        self._add_layers(
            lambda unit, geometry: XceptionModule(
                unit.in_channels,
                unit.widths,
                skip=unit.skip,
                geometry=geometry,
                norm_cfg=norm_cfg,
                with_cp=with_cp,
            ),
            grids={len(spec.blocks) - 1: [grid]},
        )
