"""Networks of this package, and the nearest ones that MMSegmentation builds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mmseg
from mmengine.config import Config

CLASSES = 21
BN = dict(type="BN")
OURS = "mmseg_deeplab_ext."
HERE = Path(__file__).parents[1] / "configs" / "_base_" / "models"
MMSEG = Path(mmseg.__file__).parent / ".mim" / "configs" / "_base_" / "models"


def here(backbone: dict, tap: int, final: int, **head) -> dict[str, Any]:
    """A network of this package, DeepLabv3+ at output stride 16 unless said otherwise."""
    usual = dict(channels=256, num_classes=CLASSES, c1_in_channels=tap, in_channels=final)
    return dict(
        type="EncoderDecoder",
        backbone=dict(output_stride=16, **backbone),
        decode_head=dict(type=f"{OURS}DeepLabV3PlusHead", **{**usual, **head}),
    )


def mmsegs(backbone: dict, tap: int, final: int, in_index: int = 3) -> dict[str, Any]:
    """DeepLabv3+ of MMSegmentation at output stride 16, with the same widths."""
    return dict(
        type="EncoderDecoder",
        backbone=dict(norm_cfg=BN, **backbone),
        decode_head=dict(
            type="DepthwiseSeparableASPPHead",
            in_channels=final,
            in_index=in_index,
            channels=256,
            num_classes=CLASSES,
            dilations=(1, 6, 12, 18),
            c1_in_channels=tap,
            c1_channels=48,
            norm_cfg=BN,
        ),
    )


def of_file(path: Path, **parts: dict) -> dict[str, Any]:
    """The segmentor of a config file, without its auxiliary head and start weights."""
    config = Config.fromfile(path)
    config.merge_from_dict({"model": {"backbone": {"init_cfg": None}}})
    config.merge_from_dict({"model": parts})
    return {key: config.model[key] for key in ("type", "backbone", "decode_head")}


def mmsegs_resnet(depth: int) -> dict[str, Any]:
    """MMSegmentation's ResNetV1c at output stride 16."""
    backbone = dict(
        type="ResNetV1c",
        depth=depth,
        strides=(1, 2, 2, 1),
        dilations=(1, 1, 1, 2),
        contract_dilation=True,
    )
    return mmsegs(backbone, *((64, 512) if depth == 18 else (256, 2048)))


def mmsegs_mobilenet_v3(arch: str) -> dict[str, Any]:
    """MMSegmentation's MobileNetV3, which has output stride 8 only, with its LR-ASPP head."""
    large = arch == "large"
    return dict(
        type="EncoderDecoder",
        backbone=dict(
            type="MobileNetV3",
            arch=arch,
            reduction_factor=2,
            out_indices=(1, 3, 16) if large else (0, 1, 12),
            norm_cfg=BN,
        ),
        decode_head=dict(
            type="LRASPPHead",
            in_channels=(16, 24, 960) if large else (16, 16, 576),
            in_index=(0, 1, 2),
            channels=128,
            input_transform="multiple_select",
            num_classes=CLASSES,
            norm_cfg=BN,
        ),
    )


PEERS = {
    "mmseg's ResNet-18": mmsegs_resnet(18),
    "mmseg's ResNet-50": mmsegs_resnet(50),
    "mmseg's ResNet-101": mmsegs_resnet(101),
    "mmseg's MobileNetV2": mmsegs(
        dict(
            type="MobileNetV2",
            strides=(1, 2, 2, 2, 1, 1, 1),
            dilations=(1, 1, 1, 1, 1, 2, 2),
            out_indices=(1, 2, 4, 6),
        ),
        24,
        320,
    ),
    "mmseg's MobileNetV3 large": mmsegs_mobilenet_v3("large"),
    "mmseg's MobileNetV3 small": mmsegs_mobilenet_v3("small"),
    "mmseg's DeepLabv3, ResNet-50": of_file(MMSEG / "deeplabv3_r50-d8.py"),
    "mmseg's DeepLabv3, ResNet-101": of_file(
        MMSEG / "deeplabv3_r50-d8.py", backbone=dict(depth=101)
    ),
    "mmseg's UNet": of_file(MMSEG / "fcn_unet_s5-d16.py"),
}
"""The networks of MMSegmentation."""
BY_MULTIPLY_ADDS = ("mmseg's ResNet-50", "mmseg's MobileNetV2")
"""Peers of what MMSegmentation has no counterpart for."""


def _resnet(depth: int) -> dict[str, Any]:
    widths = (64, 512) if depth == 18 else (256, 2048)
    return here(dict(type=f"{OURS}ResNetV1Beta", depth=depth), *widths)


def _xception(depth: int, **head) -> dict[str, Any]:
    return here(dict(type=f"{OURS}Xception", depth=depth), 256, 2048, **head)


def _mobilenet_v3(arch: str, final: int, tap: int) -> dict[str, Any]:
    """The zoo's head, at the only output stride that MMSegmentation's network has."""
    network = here(
        dict(type=f"{OURS}MobileNetV3", arch=arch),
        tap,
        final,
        channels=CLASSES,
        dilations=(1,),
        aspp_channels=128,
        aspp_squeeze_excite="qsigmoid",
        aspp_projection=False,
        c1_in_index=1,
        decoder_sum_merge=True,
        decoder_logits=True,
    )
    network["backbone"]["output_stride"] = 8
    return network


def _edgetpu(factor: float, final: int, channels: int) -> dict[str, Any]:
    backbone = dict(type=f"{OURS}MobileNetEdgeTPU", widen_factor=factor)
    return here(backbone, 0, final, channels=channels, dilations=(1,))


NETWORKS = {
    "resnet18": (_resnet(18), ("mmseg's ResNet-18",)),
    "resnet50": (_resnet(50), ("mmseg's ResNet-50",)),
    "resnet101": (_resnet(101), ("mmseg's ResNet-101",)),
    "mobilenetv2": (here(dict(type=f"{OURS}MobileNetV2"), 144, 320), ("mmseg's MobileNetV2",)),
    "xception41": (_xception(41), BY_MULTIPLY_ADDS),
    "xception65": (_xception(65), BY_MULTIPLY_ADDS),
    "xception71": (_xception(71), BY_MULTIPLY_ADDS),
    "xception71_dpc": (
        _xception(71, dense_prediction_cell="branch5_top1_cityscapes"),
        BY_MULTIPLY_ADDS,
    ),
    "mobilenetv3_large": (_mobilenet_v3("large", 480, 120), ("mmseg's MobileNetV3 large",)),
    "mobilenetv3_small": (_mobilenet_v3("small", 288, 88), ("mmseg's MobileNetV3 small",)),
    "edgetpu": (_edgetpu(1.0, 1280, 256), BY_MULTIPLY_ADDS),
    "edgetpu_slim": (_edgetpu(0.75, 960, 128), BY_MULTIPLY_ADDS),
    "deeplabv3_r101": (
        of_file(
            HERE / "deeplabv3_r101beta.py",
            backbone=dict(output_stride=8),
            decode_head=dict(dilations=(1, 12, 24, 36)),
        ),
        ("mmseg's DeepLabv3, ResNet-101",),
    ),
    "cascade_r101": (of_file(HERE / "deeplabv3_r101beta_cascade.py"), BY_MULTIPLY_ADDS),
    "torchvision_deeplabv3_r50": (
        of_file(HERE / "deeplabv3_r50-d8_torchvision.py"),
        ("mmseg's DeepLabv3, ResNet-50",),
    ),
    "torchvision_lraspp": (
        of_file(HERE / "lraspp_mnv3l-d16_torchvision.py"),
        ("mmseg's MobileNetV3 large",),
    ),
    "fcn32s_vgg16": (of_file(HERE / "fcn32s_vgg16.py"), BY_MULTIPLY_ADDS),
    "unet_r50": (of_file(HERE / "unet_r50beta.py"), ("mmseg's UNet",)),
}
"""Our networks, and what each is compared with."""
MULTIPLES_OF = {"mmseg's UNet": 16}
"""Network -> its sizes are multiples of this."""
