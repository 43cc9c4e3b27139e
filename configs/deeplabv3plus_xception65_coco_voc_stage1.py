"""Xception-65 in three stages, the first: COCO with VOC's classes, from ImageNet weights.

python tools/train.py configs/deeplabv3plus_xception65_coco_voc_stage1.py
"""

_base_ = [
    "./_base_/models/deeplabv3plus_x65.py",
    "./_base_/datasets/coco_as_voc.py",
    "./_base_/schedules/schedule_90k.py",
    "./_base_/default_runtime.py",
]

model = dict(
    data_preprocessor=dict(size=(513, 513), test_cfg=dict(size=(513, 513))),
    # 447 MB, downloaded into PyTorch's cache if it is not there yet.
    backbone=dict(
        init_cfg=dict(type="Pretrained", checkpoint="tf-zoo://xception_65_imagenet"),
    ),
)
# TensorFlow's weight decay for Xception (deeplab/train.py).
optim_wrapper = dict(optimizer=dict(weight_decay=4e-5))
