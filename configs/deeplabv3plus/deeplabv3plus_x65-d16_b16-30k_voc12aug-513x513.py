"""DeepLabv3+ with Xception-65 on PASCAL VOC 2012 with SBD (train_aug), OS16, crop 513.

python tools/train.py configs/deeplabv3plus/deeplabv3plus_x65-d16_b16-30k_voc12aug-513x513.py
"""

_base_ = [
    "../_base_/models/deeplabv3plus_x65.py",
    "../_base_/datasets/pascal_voc12_aug.py",
    "../_base_/schedules/schedule_30k.py",
    "../_base_/default_runtime.py",
]

model = dict(
    data_preprocessor=dict(size=(513, 513), test_cfg=dict(size=(513, 513))),
)
# TensorFlow's weight decay for Xception (deeplab/train.py).
optim_wrapper = dict(optimizer=dict(weight_decay=4e-5))
