"""VGG16 with fully convolutional fc6 and fc7, the backbone of FCN-32s, 16s and 8s."""

from __future__ import annotations

from typing import Any, Sequence

from mmcv.cnn import make_vgg_layer
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmseg_deeplab_ext.config_values import check_choice, whole_numbers
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.registry import MODELS

_STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Channels and number of convolutions, configuration D of the VGG paper's table 1."""
_FC7 = len(_STAGES)
"""Index of fc7 among the outputs."""
_FC_KERNEL = 7
# Key `padding` -> padding of the first convolution, of fc6, and the smallest image. 100 is the FCN
# paper's (voc-fcn8s/net.py): large enough for fc6 on every image.
_PADDINGS = {0: (1, 0, 224), 3: (1, 3, 32), 100: (100, 0, 1)}


@MODELS.register_module()
class VGG16(BaseModule):
    """The five stages of VGG16, and its fully connected fc6 and fc7 as convolutions.

    The names in its state dict are torchvision's (``features.0.weight`` to
    ``classifier.3.bias``), and a classifier's weights load as they are: those of fc6, [4096,
    25088], and fc7, [4096, 4096], become kernels of 7x7 and 1x1. Without padding, the network then
    equals the classifier on images of 224x224.

    Outputs 0 to 4 are the stages after their max pool (64, 128, 256, 512, 512 channels, strides 2
    to 32), 5 is fc7 after its ReLU and dropout (4096 channels, stride 32).

    Args:
        padding: 3 pads fc6, so that its map has pool5's size. 100 pads the image, as in the FCN
            paper: pools then round up as in Caffe, and the image follows the outputs, because the
            head crops to its size. 0 pads neither.
        out_indices: which outputs to return, ascending. fc6 and fc7 exist only with 5 among them.
        fc_channels: of fc6 and fc7; only 4096 takes a classifier's weights.
        dropout_ratio: of single elements, after fc6 and fc7.
        init_cfg: initialisation; He by default.

    Raises:
        ConfigError: on an argument outside these values.
    """

    def __init__(
        self,
        *,
        padding: int = 3,
        out_indices: Sequence[int] = (2, 3, 5),
        fc_channels: int = 4096,
        dropout_ratio: float = 0.5,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        check_choice("padding", padding, tuple(_PADDINGS))
        super().__init__(init_cfg or {"type": "Kaiming", "layer": "Conv2d"})
        self.padding = padding
        self.out_indices = _checked_out_indices(out_indices)
        first, fc6, self.smallest_image = _PADDINGS[padding]
        layers: list[nn.Module] = []
        self.stage_ends = []
        channels = 3
        for width, count in _STAGES:
            layers += make_vgg_layer(channels, width, count, ceil_mode=padding == 100)
            self.stage_ends.append(len(layers))
            channels = width
        layers[0].padding = (first, first)
        self.features = nn.Sequential(*layers)
        if _FC7 in self.out_indices:
            self.classifier = nn.Sequential(  # numbered as torchvision's
                nn.Conv2d(channels, fc_channels, _FC_KERNEL, padding=fc6),
                nn.ReLU(inplace=True),
                nn.Dropout(dropout_ratio),
                nn.Conv2d(fc_channels, fc_channels, 1),
                nn.ReLU(inplace=True),
                nn.Dropout(dropout_ratio),
            )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Extract the features.

        Args:
            x: images [N, 3, H, W], normalised.

        Returns:
            The outputs of ``out_indices``; with ``padding=100`` the images at the end.

        Raises:
            ConfigError: the images are too small.
        """
        if min(x.shape[-2:]) < self.smallest_image:
            raise ConfigError(
                f"images of {x.shape[-2]} x {x.shape[-1]}: VGG16 with padding={self.padding} takes "
                f"{self.smallest_image} pixels and more on each side: give the data preprocessor "
                "a size to pad to, or use padding=100, which takes every size"
            )
        outs = []
        feature, start = x, 0
        for index, end in enumerate(self.stage_ends):
            feature = self.features[start:end](feature)
            start = end
            if index in self.out_indices:
                outs.append(feature)
        if _FC7 in self.out_indices:
            outs.append(self.classifier(feature))
        return (*outs, x) if self.padding == 100 else tuple(outs)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        """Take the matrices of a classifier's fc6 and fc7 as kernels."""
        for number, layer in enumerate(getattr(self, "classifier", ())):
            name = f"{prefix}classifier.{number}.weight"
            found = state_dict.get(name)
            if found is not None and found.dim() == 2 and found.numel() == layer.weight.numel():
                state_dict[name] = found.view_as(layer.weight)
        super()._load_from_state_dict(state_dict, prefix, *args)


def _checked_out_indices(out_indices: Sequence[int]) -> tuple[int, ...]:
    chosen = whole_numbers("out_indices", out_indices, minimum=0)
    if list(chosen) != sorted({*chosen} & {*range(_FC7 + 1)}):
        raise ConfigError(
            f"out_indices={chosen} must be ascending and different numbers from 0 to {_FC7} "
            f"(0 to {_FC7 - 1}: the stages; {_FC7}: fc7)"
        )
    return chosen
