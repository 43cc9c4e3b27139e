"""ResNet-101-beta in three stages, the first: COCO with VOC's classes, from ImageNet weights.

python tools/train.py configs/deeplabv3plus_r101beta_coco_voc_stage1.py
"""

_base_ = [
    "./_base_/models/deeplabv3plus_r50beta.py",
    "./_base_/datasets/coco_as_voc.py",
    "./_base_/schedules/schedule_90k.py",
    "./_base_/default_runtime.py",
]

model = dict(
    data_preprocessor=dict(size=(513, 513), test_cfg=dict(size=(513, 513))),
    # 477 MB, downloaded into PyTorch's cache if it is not there yet.
    backbone=dict(
        depth=101,
        init_cfg=dict(type="Pretrained", checkpoint="tf-zoo://resnet_v1_101_beta_imagenet"),
    ),
)
