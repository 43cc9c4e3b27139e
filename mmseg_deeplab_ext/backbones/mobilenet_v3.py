"""TensorFlow DeepLab's MobileNetV3 backbones."""

from __future__ import annotations

from typing import Sequence

from mmseg_deeplab_ext.backbones.mobilenet import SlimMobileNet
from mmseg_deeplab_ext.registry import MODELS
from mmseg_deeplab_ext.specs import MobileNetV3Spec


@MODELS.register_module()
class MobileNetV3(SlimMobileNet):
    """TensorFlow's ``mobilenet_v3_{large,small}_seg``, as DeepLab changed them.

    Configs must write ``type="mmseg_deeplab_ext.MobileNetV3"``: the bare name is MMSegmentation's
    own MobileNetV3, another network (``docs/networks.md`` says what differs).

    Input is an RGB image scaled to [-1, 1] (mean 127.5, std 127.5).

    The outputs follow MMSegmentation's contract of four feature maps. 0, 1 and 2 are the features
    that DeepLab's decoder taps, at strides 4, 8 and 16 (or ``output_stride``, if that is smaller):
    a depthwise convolution, after batch norm and activation and *before* the squeeze-excite. 3 is
    the final feature map, the output of the last 1x1 convolution after hard-swish.

    =====  ===================  =============
    arch   channels of 0, 1, 2  channels of 3
    =====  ===================  =============
    large  72, 120, 672         480
    small  16, 88, 144          288
    =====  ===================  =============

    Args:
        arch: "large" or "small".
        widen_factor: multiplier of all widths, TensorFlow's ``depth_multiplier``; at every one of
            them widths are multiples of 8.
        output_stride: ratio of image size to final feature size: 8, 16 or 32. Later strides
            become dilations, so weights trained at one output stride fit every other one. The gates
            of the squeeze-excite, which are means over the whole map, change with it.
        out_indices: which of the four feature maps to return, ascending.
        stem_map: return the stem's output, too, behind the others: stride 2, 16
            channels for a factor of 1.
        frozen_stages: freeze the stem (0), and the first blocks (1 to 7, small 1 to 6; the last
            one is the final convolution); -1 freezes nothing.
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
        arch: str,
        widen_factor: float = 1.0,
        *,
        output_stride: int = 32,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        stem_map: bool = False,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        with_cp: bool = False,
        norm_cfg: dict | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(
            MobileNetV3Spec(arch, widen_factor),
            output_stride=output_stride,
            out_indices=out_indices,
            stem_map=stem_map,
            frozen_stages=frozen_stages,
            norm_eval=norm_eval,
            with_cp=with_cp,
            norm_cfg=norm_cfg,
            init_cfg=init_cfg,
        )
        self.arch = arch
