"""The entries of the model zoo: the official graph that each was trained with, and its network."""

from typing import NamedTuple


class Published(NamedTuple):
    """The inventory of an entry, and how the network is named."""

    inventory: str
    variant: str
    head: str = ""
    classes: int = 21
    multiplier: float = 1.0


ONE_BRANCH = "1x1 branch, image pooling"
ASPP = "ASPP with 3 atrous branches, image pooling, decoder of 1 stage"
MNV2 = Published("mobilenet_v2__zoo_noaspp_nodec_nc21", "mobilenet_v2", ONE_BRANCH)
MNV2_HALF = MNV2._replace(inventory="mobilenet_v2__dm05_zoo_noaspp_nodec_nc21", multiplier=0.5)
MNV2_CITYSCAPES = MNV2._replace(inventory="mobilenet_v2__zoo_noaspp_nodec_nc19", classes=19)
X65 = Published("xception_65__v3plus_os16_rates6-12-18_dec4_nc21", "xception_65", ASPP)
X71 = Published(
    "xception_71__dpc_os16_dec4_nc19",
    "xception_71",
    "dense prediction cell of 5 branches, decoder of 1 stage",
    19,
)
MNV3 = Published(
    "mobilenet_v3_small_seg__zoo_nc19",
    "mobilenet_v3_small_seg",
    "1x1 branch, image pooling as squeeze-and-excite (qsigmoid), no projection, sum-merge decoder "
    "of 1 stage whose output is the logits",
    19,
)
EDGETPU = Published("mobilenet_edgetpu__zoo_nc19", "mobilenet_edgetpu", ONE_BRANCH, 19)
ENTRIES = {
    "resnet_v1_50_beta_imagenet": Published(
        "resnet_v1_50_beta__imagenet_classification_nc1001", "resnet_v1_50_beta"
    ),
    "resnet_v1_101_beta_imagenet": Published(
        "resnet_v1_101_beta__imagenet_classification_nc1001", "resnet_v1_101_beta"
    ),
    "mobilenetv2_dm05_coco_voc_trainaug": MNV2_HALF,
    "mobilenetv2_dm05_coco_voc_trainval": MNV2_HALF,
    "mobilenetv2_coco_voc_trainaug": MNV2,
    "mobilenetv2_coco_voc_trainval": MNV2,
    "mobilenetv2_coco_cityscapes_trainfine": MNV2_CITYSCAPES,
    "mobilenetv2_ade20k_train": Published(
        "mobilenet_v2__noaspp_dec4_nc151_ade20k",
        "mobilenet_v2",
        f"{ONE_BRANCH}, decoder of 1 stage",
        151,
    ),
    "mobilenetv2_dm05_coco_voc_trainaug_8bit": MNV2_HALF,
    "mobilenetv2_coco_voc_trainaug_8bit": MNV2,
    "xception65_coco_voc_trainaug": X65,
    "xception65_coco_voc_trainval": X65,
    "xception65_cityscapes_trainfine": X65._replace(
        inventory="xception_65__v3plus_os16_rates6-12-18_dec4_nc19", classes=19
    ),
    "xception71_dpc_cityscapes_trainfine": X71,
    "xception71_dpc_cityscapes_trainval": X71,
    "xception65_ade20k_train": X65._replace(
        inventory="xception_65__v3plus_os16_rates6-12-18_dec4_nc151", classes=151
    ),
    "xception_41_imagenet": Published("xception_41__imagenet_classification_nc1001", "xception_41"),
    "xception_65_imagenet": Published("xception_65__imagenet_classification_nc1001", "xception_65"),
    "xception_65_imagenet_coco": X65,
    "xception_71_imagenet": Published("xception_71__imagenet_classification_nc1001", "xception_71"),
    "mobilenetv3_large_cityscapes_trainfine": MNV3._replace(
        inventory="mobilenet_v3_large_seg__zoo_nc19", variant="mobilenet_v3_large_seg"
    ),
    "mobilenetv3_small_cityscapes_trainfine": MNV3,
    "EdgeTPU-DeepLab": EDGETPU,
    "EdgeTPU-DeepLab-slim": EDGETPU._replace(
        inventory="mobilenet_edgetpu__slim_dm075_zoo_nc19", multiplier=0.75
    ),
}
