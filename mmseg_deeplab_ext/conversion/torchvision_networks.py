"""torchvision's segmentation networks: the config that builds each, and the names of its weights.

What a file must hold follows from the built model, so that the config and the names can't differ.
Backbones have torchvision's names.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Mapping

import torch
from mmengine.config import Config
from torch import nn

from mmseg_deeplab_ext.conversion.comparison import Shapes, weight_shapes
from mmseg_deeplab_ext.conversion.config_file import CONFIGS
from mmseg_deeplab_ext.registry import MODELS

AUXILIARY = "aux_classifier."
"""What the names of the auxiliary head, which a file may lack, start with in torchvision."""
PROJECTION = "decode_head.aspp.projection.conv.weight"
"""Our ASPP concatenates image pooling first, torchvision's last."""
VOC_CLASSES = 21
_PARTS = ("backbone", "decode_head", "auxiliary_head")


@dataclass(frozen=True, eq=False)
class TorchvisionNetwork:
    """A network of ``torchvision.models.segmentation``.

    Attributes:
        name: torchvision's.
        config: of the same network, below ``configs``.
        modules: our modules -> torchvision's, where the names differ.
    """

    name: str
    config: str
    modules: Mapping[str, str]

    def their_name(self, name: str) -> str:
        """What torchvision calls a tensor of ours."""
        module, _, kind = name.rpartition(".")
        return f"{self.modules.get(module, module)}.{kind}"

    def num_classes(self, shapes: Shapes) -> int:
        """How many classes a file's weights are for; VOC's 21 if that can't be said."""
        shape = shapes.get(self.their_name("decode_head.conv_seg.bias"))
        return shape[0] if shape else VOC_CLASSES

    def whole_config(self, num_classes: int, *, auxiliary: bool) -> Config:
        """The config of this network, with that many classes, with or without auxiliary head."""
        cfg = Config.fromfile(CONFIGS / self.config)
        if not auxiliary:
            cfg.model.auxiliary_head = None
        for head in (cfg.model.decode_head, cfg.model.auxiliary_head):
            if head is not None:
                head.num_classes = num_classes
        return Config({key: value for key, value in cfg.items() if not key.startswith("_")})


@functools.lru_cache(maxsize=None)
def published_weights(network: TorchvisionNetwork) -> Shapes:
    """Torchvision's name and the shape of every weight in the published file."""
    cfg = network.whole_config(VOC_CLASSES, auxiliary=True)
    return {network.their_name(name): shape for name, shape in names_and_shapes(cfg).items()}


def names_and_shapes(cfg: Config) -> dict[str, tuple[int, ...]]:
    """Name, in our words, and shape of every weight of a config's model."""
    parts = {part: cfg.model[part] for part in _PARTS if cfg.model[part] is not None}
    with torch.device("meta"):  # at no cost
        built = nn.ModuleDict({part: MODELS.build(config) for part, config in parts.items()})
    return weight_shapes(built.state_dict())


def _fcn(ours: str, theirs: str) -> dict[str, str]:
    return {
        f"{ours}.convs.0.conv": f"{theirs}.0",
        f"{ours}.convs.0.bn": f"{theirs}.1",
        f"{ours}.conv_seg": f"{theirs}.4",
    }


_AUXILIARY = _fcn("auxiliary_head", "aux_classifier")
_FCN = {**_fcn("decode_head", "classifier"), **_AUXILIARY}
_DEEPLAB = {
    **{
        f"decode_head.aspp.branches.{branch}.{layer}": f"classifier.0.convs.{branch}.{index}"
        for branch in range(4)
        for index, layer in enumerate(("conv", "bn"))
    },
    "decode_head.aspp.image_pooling.conv.conv": "classifier.0.convs.4.1",
    "decode_head.aspp.image_pooling.conv.bn": "classifier.0.convs.4.2",
    "decode_head.aspp.projection.conv": "classifier.0.project.0",
    "decode_head.aspp.projection.bn": "classifier.0.project.1",
    "decode_head.conv.conv": "classifier.1",
    "decode_head.conv.bn": "classifier.2",
    "decode_head.conv_seg": "classifier.4",
    **_AUXILIARY,
}
_LRASPP = {
    "decode_head.conv.conv": "classifier.cbr.0",
    "decode_head.conv.bn": "classifier.cbr.1",
    "decode_head.gate": "classifier.scale.1",
    "decode_head.fine_seg": "classifier.low_classifier",
    "decode_head.conv_seg": "classifier.high_classifier",
}

NETWORKS = tuple(
    TorchvisionNetwork(name, f"{config}_torchvision_voc.py", modules)
    for name, config, modules in (
        ("fcn_resnet50", "fcn/fcn_r50-d8", _FCN),
        ("fcn_resnet101", "fcn/fcn_r101-d8", _FCN),
        ("deeplabv3_resnet50", "deeplabv3/deeplabv3_r50-d8", _DEEPLAB),
        ("deeplabv3_resnet101", "deeplabv3/deeplabv3_r101-d8", _DEEPLAB),
        ("deeplabv3_mobilenet_v3_large", "deeplabv3/deeplabv3_mnv3l-d16", _DEEPLAB),
        ("lraspp_mobilenet_v3_large", "lraspp/lraspp_mnv3l-d16", _LRASPP),
    )
)
"""All that there are with published weights."""
