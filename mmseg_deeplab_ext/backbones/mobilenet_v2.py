"""TensorFlow DeepLab's MobileNetV2 backbone."""

from __future__ import annotations

from typing import Sequence

from mmseg_deeplab_ext.backbones.mobilenet import SlimMobileNet
from mmseg_deeplab_ext.registry import MODELS
from mmseg_deeplab_ext.specs import MobileNetV2Spec


@MODELS.register_module()
class MobileNetV2(SlimMobileNet):
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
        stem_map: return the stem's output, too, behind the others: stride 2, 32
            channels for a factor of 1.
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
        stem_map: bool = False,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        with_cp: bool = False,
        norm_cfg: dict | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(
            MobileNetV2Spec(widen_factor),
            output_stride=output_stride,
            out_indices=out_indices,
            stem_map=stem_map,
            frozen_stages=frozen_stages,
            norm_eval=norm_eval,
            with_cp=with_cp,
            norm_cfg=norm_cfg,
            init_cfg=init_cfg,
        )
