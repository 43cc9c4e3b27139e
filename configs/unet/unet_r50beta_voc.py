"""U-Net with ResNet-50-beta on PASCAL VOC 2012 with SBD, crop 513.

python tools/train.py configs/unet/unet_r50beta_voc.py
"""

_base_ = [
    "../_base_/models/unet_r50beta.py",
    "../_base_/datasets/pascal_voc12_aug.py",
    "../_base_/schedules/schedule_30k.py",
    "../_base_/default_runtime.py",
]

model = dict(
    data_preprocessor=dict(size=(513, 513), test_cfg=dict(size=(513, 513))),
)
