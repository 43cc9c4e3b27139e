"""Google's published DeepLab checkpoints, as data.

Source: ``research/deeplab/g3doc/model_zoo.md`` and ``quantize.md`` in github.com/tensorflow/models.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from mmseg_deeplab_ext.errors import CheckpointNotFoundError

SCHEME = "tf-zoo://"
LIST_COMMAND = "python -m mmseg_deeplab_ext zoo"
USE = (
    "OS: output stride of the evaluation. MS: averaged over scales and flips.",
    f"In a config: init_cfg=dict(type='Pretrained', checkpoint='{SCHEME}NAME')",
    f"Only download: {LIST_COMMAND} NAME",
)
"""What to tell below the list."""


_MNV2 = "MobileNetV2"
_MNV2_HALF = "MobileNetV2 dm0.5"
_X65_ASPP = "Xception-65, ASPP, decoder"
_X71_DPC = "Xception-71, DPC, decoder"
_VOC_AUG = "VOC trainaug"
_VOC_TRAINVAL = "VOC trainaug + trainval"
_CITYSCAPES = "Cityscapes train"
_ADE20K = "ADE20K train"
_IMAGENET = "ImageNet"


@dataclass(frozen=True)
class ZooEntry:
    """A published checkpoint.

    Attributes:
        name: Its name in the zoo.
        file: Its archive, without ``.tar.gz``.
        network: The network in words: DPC is the dense prediction cell, dm the depth multiplier.
            What has neither ASPP nor DPC has image pooling and a 1x1 branch instead.
        data: What it was trained on last. Before that came ImageNet (not for MobileNetV3) and,
            where the name says so and for Xception-71 with DPC, COCO.
        size: Of the archive; empty where it was not published.
        published: One mIoU in per cent per evaluation: set, output stride (OS), and MS where it
            was averaged over scales and flips.
    """

    name: str
    file: str
    network: str
    data: str
    size: str
    published: tuple[str, ...] = ()

    @property
    def archive(self) -> str:
        """The file's name on the server and in the cache."""
        return f"{self.file}.tar.gz"


ZOO = (
    ZooEntry(
        "resnet_v1_50_beta_imagenet",
        "resnet_v1_50_2018_05_04",
        network="ResNet-50-beta",
        data=_IMAGENET,
        size="274MB",
    ),
    ZooEntry(
        "resnet_v1_101_beta_imagenet",
        "resnet_v1_101_2018_05_04",
        network="ResNet-101-beta",
        data=_IMAGENET,
        size="477MB",
    ),
    ZooEntry(
        "mobilenetv2_dm05_coco_voc_trainaug",
        "deeplabv3_mnv2_dm05_pascal_trainaug_2018_10_01",
        network=_MNV2_HALF,
        data=_VOC_AUG,
        size="7.6MB",
        published=("70.19 val OS16",),
    ),
    ZooEntry(
        "mobilenetv2_dm05_coco_voc_trainval",
        "deeplabv3_mnv2_dm05_pascal_trainval_2018_10_01",
        network=_MNV2_HALF,
        data=_VOC_TRAINVAL,
        size="7.6MB",
        published=("71.83 test OS8",),
    ),
    ZooEntry(
        "mobilenetv2_coco_voc_trainaug",
        "deeplabv3_mnv2_pascal_train_aug_2018_01_29",
        network=_MNV2,
        data=_VOC_AUG,
        size="23MB",
        published=("75.32 val OS16", "77.33 val OS8 MS"),
    ),
    ZooEntry(
        "mobilenetv2_coco_voc_trainval",
        "deeplabv3_mnv2_pascal_trainval_2018_01_29",
        network=_MNV2,
        data=_VOC_TRAINVAL,
        size="23MB",
        published=("80.25 test OS8 MS",),
    ),
    ZooEntry(
        "mobilenetv2_coco_cityscapes_trainfine",
        "deeplabv3_mnv2_cityscapes_train_2018_02_05",
        network=_MNV2,
        data=_CITYSCAPES,
        size="23MB",
        published=("70.71 val OS16", "73.57 val OS8 MS"),
    ),
    ZooEntry(
        "mobilenetv2_ade20k_train",
        "deeplabv3_mnv2_ade20k_train_2018_12_03",
        network=f"{_MNV2}, decoder",
        data=_ADE20K,
        size="24.8MB",
        published=("32.04 val OS16",),
    ),
    ZooEntry(
        "mobilenetv2_dm05_coco_voc_trainaug_8bit",
        "deeplabv3_mnv2_dm05_pascal_train_aug_8bit_2019_04_26",
        network=f"{_MNV2_HALF}, 8-bit",
        data=_VOC_AUG,
        size="8.2MB",
        published=("69.65 val OS16",),
    ),
    ZooEntry(
        "mobilenetv2_coco_voc_trainaug_8bit",
        "deeplabv3_mnv2_pascal_train_aug_8bit_2019_04_26",
        network=f"{_MNV2}, 8-bit",
        data=_VOC_AUG,
        size="24MB",
        published=("74.26 val OS16",),
    ),
    ZooEntry(
        "xception65_coco_voc_trainaug",
        "deeplabv3_pascal_train_aug_2018_01_04",
        network=_X65_ASPP,
        data=_VOC_AUG,
        size="439MB",
        published=("82.20 val OS16", "83.58 val OS8 MS"),
    ),
    ZooEntry(
        "xception65_coco_voc_trainval",
        "deeplabv3_pascal_trainval_2018_01_04",
        network=_X65_ASPP,
        data=_VOC_TRAINVAL,
        size="439MB",
        published=("87.80 test OS8 MS",),
    ),
    ZooEntry(
        "xception65_cityscapes_trainfine",
        "deeplabv3_cityscapes_train_2018_02_06",
        network=_X65_ASPP,
        data=_CITYSCAPES,
        size="439MB",
        published=("78.79 val OS16", "80.42 val OS8 MS"),
    ),
    ZooEntry(
        "xception71_dpc_cityscapes_trainfine",
        "deeplab_cityscapes_xception71_trainfine_2018_09_08",
        network=_X71_DPC,
        data=_CITYSCAPES,
        size="445MB",
        published=("80.31 val OS16",),
    ),
    ZooEntry(
        "xception71_dpc_cityscapes_trainval",
        "deeplab_cityscapes_xception71_trainvalfine_2018_09_08",
        network=_X71_DPC,
        data="Cityscapes trainval + coarse",
        size="446MB",
        published=("82.66 test OS8 MS",),
    ),
    ZooEntry(
        "xception65_ade20k_train",
        "deeplabv3_xception_ade20k_train_2018_05_29",
        network=_X65_ASPP,
        data=_ADE20K,
        size="439MB",
        published=("45.65 val OS8 MS",),
    ),
    ZooEntry(
        "xception_41_imagenet",
        "xception_41_2018_05_09",
        network="Xception-41",
        data=_IMAGENET,
        size="288MB",
    ),
    ZooEntry(
        "xception_65_imagenet",
        "deeplabv3_xception_2018_01_04",
        network="Xception-65",
        data=_IMAGENET,
        size="447MB",
    ),
    ZooEntry(
        "xception_65_imagenet_coco",
        "xception_65_coco_pretrained_2018_10_02",
        network="Xception-65",
        data="COCO",
        size="292MB",
    ),
    ZooEntry(
        "xception_71_imagenet",
        "xception_71_2018_05_09",
        network="Xception-71",
        data=_IMAGENET,
        size="474MB",
    ),
    ZooEntry(
        "mobilenetv3_large_cityscapes_trainfine",
        "deeplab_mnv3_large_cityscapes_trainfine_2019_11_15",
        network="MobileNetV3 large, decoder",
        data=_CITYSCAPES,
        size="17MB",
        published=("72.41 val OS32",),
    ),
    ZooEntry(
        "mobilenetv3_small_cityscapes_trainfine",
        "deeplab_mnv3_small_cityscapes_trainfine_2019_11_15",
        network="MobileNetV3 small, decoder",
        data=_CITYSCAPES,
        size="5MB",
        published=("68.99 val OS32",),
    ),
    ZooEntry(
        "EdgeTPU-DeepLab",
        "edgetpu-deeplab_2020_03_09",
        network="EdgeTPU MobileNet",
        data=_CITYSCAPES,
        size="",
        published=("70.6 val OS32", "74.1 val OS16"),
    ),
    ZooEntry(
        "EdgeTPU-DeepLab-slim",
        "edgetpu-deeplab-slim_2020_03_09",
        network="EdgeTPU MobileNet dm0.75",
        data=_CITYSCAPES,
        size="",
        published=("70.0 val OS32", "73.2 val OS16"),
    ),
)
"""All entries, by family."""


def find_entry(name: str) -> ZooEntry:
    """Return the entry of a name, which may start with ``tf-zoo://``.

    Raises:
        CheckpointNotFoundError: No entry has this name.
    """
    entries = {entry.name: entry for entry in ZOO}
    bare = name[len(SCHEME) :] if name.startswith(SCHEME) else name
    if bare in entries:
        return entries[bare]
    near = difflib.get_close_matches(bare, entries, cutoff=0.4)
    meant = f" Did you mean {' or '.join(near)}?" if near else ""
    raise CheckpointNotFoundError(
        f"the model zoo has no entry named {bare!r}.{meant} `{LIST_COMMAND}` lists all."
    )


def listing() -> list[str]:
    """Describe the zoo in aligned lines: a heading, and a line per entry."""
    rows = [("name", "network", "trained on", "published mIoU (%)", "archive")]
    rows += [(e.name, e.network, e.data, "; ".join(e.published), e.size) for e in ZOO]
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
