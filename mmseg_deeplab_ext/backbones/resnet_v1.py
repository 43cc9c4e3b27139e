"""TensorFlow DeepLab's ResNet v1 backbones: ``ResNetV1`` and ``ResNetV1Beta``."""

from __future__ import annotations

from typing import Sequence

from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from mmengine.utils.dl_utils.parrots_wrapper import _BatchNorm
from torch import Tensor, nn

from mmseg_deeplab_ext.arch import PLAIN_STEM_WIDTH, RESNET_V1
from mmseg_deeplab_ext.config_values import is_whole, whole_numbers
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.layers import (
    FUSED_BATCH_NORM_EPS,
    max_pool_3x3_stride_2_same,
    tf_norm_cfg,
    walk_output_stride,
)
from mmseg_deeplab_ext.layers.residual_unit import ResidualUnit
from mmseg_deeplab_ext.registry import MODELS

OUTPUT_STRIDES = (4, 8, 16, 32)
_STEM_STRIDE = 4
_NUM_OUTPUTS = 4


@MODELS.register_module()
class ResNetV1(BaseModule):
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
        super().__init__(init_cfg or _he_init_cfg())
        _check_choice("depth", depth, tuple(RESNET_V1))
        _check_choice("output_stride", output_stride, OUTPUT_STRIDES)
        _check_choice("frozen_stages", frozen_stages, tuple(range(-1, _NUM_OUTPUTS + 1)))
        self.arch = RESNET_V1[depth]
        self.out_indices = _checked_out_indices(out_indices)
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        norm_cfg = tf_norm_cfg(norm_cfg, decay=0.95, eps=FUSED_BATCH_NORM_EPS)
        self.stem, channels = self._make_stem(norm_cfg)
        geometry = walk_output_stride(
            [block.unit_strides for block in self.arch.blocks],
            entry_stride=_STEM_STRIDE,
            output_stride=output_stride,
            multi_grid=(1,) * self.arch.blocks[-1].units if multi_grid is None else multi_grid,
        )
        self.layer_names = []
        for number, (block, units) in enumerate(zip(self.arch.blocks, geometry), start=1):
            layer = nn.ModuleList()
            for unit in units:
                layer.append(
                    ResidualUnit(
                        channels,
                        block.width,
                        expansion=self.arch.expansion,
                        kernel_sizes=(1, 3, 1) if self.arch.bottleneck else (3, 3),
                        geometry=unit,
                        norm_cfg=norm_cfg,
                        with_cp=with_cp,
                    )
                )
                channels = block.width * self.arch.expansion
            self.add_module(f"layer{number}", layer)
            self.layer_names.append(f"layer{number}")
        self._freeze_stages()

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

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Extract the features.

        Args:
            x: images [N, 3, H, W], normalised.

        Returns:
            The feature maps of ``out_indices``, each [N, C, ceil(H / stride), ceil(W / stride)].
        """
        x = max_pool_3x3_stride_2_same(self.stem(x))
        outs = []
        tap_units = (*self.arch.tap_units, None)
        for index, name in enumerate(self.layer_names):
            for number, unit in enumerate(getattr(self, name)):
                x, residual = unit(x)
                if index in self.out_indices and number == tap_units[index]:
                    outs.append(residual)
        if _NUM_OUTPUTS - 1 in self.out_indices:
            outs.append(x)
        return tuple(outs)

    def train(self, mode: bool = True) -> ResNetV1:
        """Switch the mode; frozen stages, with ``norm_eval`` all batch norms, stay in eval."""
        super().train(mode)
        self._freeze_stages()
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def _freeze_stages(self) -> None:
        for name in ["stem", *self.layer_names][: self.frozen_stages + 1]:
            module = getattr(self, name)
            module.eval()
            module.requires_grad_(False)


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


def _check_choice(name: str, value: int, allowed: Sequence[int]) -> None:
    if not is_whole(value, minimum=min(allowed)) or value not in allowed:
        raise ConfigError(
            f"{name}={value!r} is not supported: use one of {', '.join(map(str, allowed))}"
        )


def _checked_out_indices(out_indices: Sequence[int]) -> tuple[int, ...]:
    chosen = whole_numbers("out_indices", out_indices, minimum=0)
    if list(chosen) != sorted(set(chosen) & set(range(_NUM_OUTPUTS))):
        raise ConfigError(
            f"out_indices={chosen} must be ascending and different numbers from 0 to "
            f"{_NUM_OUTPUTS - 1} (0, 1, 2: decoder taps; 3: final feature map)"
        )
    return chosen
