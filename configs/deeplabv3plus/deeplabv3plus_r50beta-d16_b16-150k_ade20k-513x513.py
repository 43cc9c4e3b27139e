"""DeepLabv3+ with ResNet-50-beta on ADE20K, output stride 16, crop 513.

python tools/train.py configs/deeplabv3plus/deeplabv3plus_r50beta-d16_b16-150k_ade20k-513x513.py
"""

_base_ = [
    "../_base_/models/deeplabv3plus_r50beta.py",
    "../_base_/datasets/ade20k.py",
    "../_base_/schedules/schedule_150k.py",
    "../_base_/default_runtime.py",
]

model = dict(
    data_preprocessor=dict(size=(513, 513), test_cfg=dict(size=(513, 513))),
    decode_head=dict(num_classes=150),
)
