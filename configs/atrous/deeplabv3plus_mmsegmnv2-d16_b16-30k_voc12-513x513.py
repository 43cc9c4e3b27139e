"""DeepLabv3+ with MMSegmentation's MobileNetV2, made dense, on PASCAL VOC 2012, OS16, crop 513.

python tools/train.py configs/atrous/deeplabv3plus_mmsegmnv2-d16_b16-30k_voc12-513x513.py
"""

_base_ = [
    "../_base_/models/deeplabv3plus_atrous_mnv2.py",
    "../_base_/datasets/pascal_voc12.py",
    "../_base_/schedules/schedule_30k.py",
    "../_base_/default_runtime.py",
]

model = dict(
    data_preprocessor=dict(size=(513, 513), test_cfg=dict(size=(513, 513))),
)
optim_wrapper = dict(optimizer=dict(weight_decay=4e-5))
