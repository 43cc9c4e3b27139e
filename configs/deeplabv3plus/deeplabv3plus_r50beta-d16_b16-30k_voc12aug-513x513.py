"""DeepLabv3+ with ResNet-50-beta on PASCAL VOC 2012 with SBD (train_aug), OS16, crop 513.

python tools/train.py configs/deeplabv3plus/deeplabv3plus_r50beta-d16_b16-30k_voc12aug-513x513.py
"""

_base_ = [
    "../_base_/models/deeplabv3plus_r50beta.py",
    "../_base_/datasets/pascal_voc12_aug.py",
    "../_base_/schedules/schedule_30k.py",
    "../_base_/default_runtime.py",
]

model = dict(
    data_preprocessor=dict(size=(513, 513), test_cfg=dict(size=(513, 513))),
)
