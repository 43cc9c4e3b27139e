"""DeepLabv3+ with Xception-65 on Cityscapes fine, output stride 16, crop 769.

python tools/train.py configs/deeplabv3plus/deeplabv3plus_x65-d16_b16-90k_cityscapes-769x769.py
"""

_base_ = [
    "../_base_/models/deeplabv3plus_x65.py",
    "../_base_/datasets/cityscapes.py",
    "../_base_/schedules/schedule_90k.py",
    "../_base_/default_runtime.py",
]

model = dict(
    data_preprocessor=dict(size=(769, 769), test_cfg=dict(size=(1025, 2049))),
    decode_head=dict(num_classes=19),
)
# TensorFlow's weight decay for Xception (deeplab/train.py).
optim_wrapper = dict(optimizer=dict(weight_decay=4e-5))
