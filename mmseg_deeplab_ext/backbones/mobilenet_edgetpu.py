"""TensorFlow DeepLab's MobileNet for the EdgeTPU."""

from __future__ import annotations

from typing import Sequence

from mmseg_deeplab_ext.backbones.mobilenet import SlimMobileNet
from mmseg_deeplab_ext.registry import MODELS
from mmseg_deeplab_ext.specs import MobileNetEdgeTPUSpec


@MODELS.register_module()
class MobileNetEdgeTPU(SlimMobileNet):
    """TensorFlow's ``mobilenet_edgetpu``: its first units expand with an ordinary convolution.

    Input is an RGB image scaled to [-1, 1] (mean 127.5, std 127.5).

    It returns one feature map, the output of the last 1x1 convolution after ReLU: 1280 channels,
    960 for a factor of 0.75. DeepLab has no decoder on it.

    Args:
        widen_factor: multiplier of all widths, TensorFlow's ``depth_multiplier``; at every one of
            them widths are multiples of 8.
        output_stride: ratio of image size to final feature size: 8, 16 or 32. Later strides
            become dilations, so weights trained at one output stride fit every other one.
        out_indices: there is no other feature map than 3.
        stem_map: return the stem's output, too, behind the others: stride 2, 32
            channels for a factor of 1.
        frozen_stages: freeze the stem (0), and the first blocks (1 to 8; the last one is the final
            convolution); -1 freezes nothing.
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
        out_indices: Sequence[int] = (3,),
        stem_map: bool = False,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        with_cp: bool = False,
        norm_cfg: dict | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(
            MobileNetEdgeTPUSpec(widen_factor),
            output_stride=output_stride,
            out_indices=out_indices,
            stem_map=stem_map,
            frozen_stages=frozen_stages,
            norm_eval=norm_eval,
            with_cp=with_cp,
            norm_cfg=norm_cfg,
            init_cfg=init_cfg,
        )
