"""DeepLabv3+ with Xception-65 on ADE20K, output stride 16, crop 513.

python tools/train.py configs/deeplabv3plus/deeplabv3plus_x65-d16_b16-150k_ade20k-513x513.py
"""

_base_ = [
    "../_base_/models/deeplabv3plus_x65.py",
    "../_base_/datasets/ade20k.py",
    "../_base_/schedules/schedule_150k.py",
    "../_base_/default_runtime.py",
]

model = dict(
    data_preprocessor=dict(size=(513, 513), test_cfg=dict(size=(513, 513))),
    decode_head=dict(num_classes=150),
)
# TensorFlow's weight decay for Xception (deeplab/train.py).
optim_wrapper = dict(optimizer=dict(weight_decay=4e-5))
