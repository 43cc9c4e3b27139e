"""DeepLabv3's cascade on ResNet-101-beta on PASCAL VOC 2012 with SBD, OS16, crop 513.

python tools/train.py configs/deeplabv3/deeplabv3_r101beta_cascade-d16_b16-30k_voc12aug-513x513.py
"""

_base_ = [
    "../_base_/models/deeplabv3_r101beta_cascade.py",
    "../_base_/datasets/pascal_voc12_aug.py",
    "../_base_/schedules/schedule_30k.py",
    "../_base_/default_runtime.py",
]

model = dict(
    data_preprocessor=dict(size=(513, 513), test_cfg=dict(size=(513, 513))),
)
