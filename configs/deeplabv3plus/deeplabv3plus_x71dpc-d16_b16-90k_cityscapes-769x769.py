"""DeepLabv3+ with Xception-71 and the dense prediction cell on Cityscapes fine, OS16, crop 769.

python tools/train.py configs/deeplabv3plus/deeplabv3plus_x71dpc-d16_b16-90k_cityscapes-769x769.py
"""

_base_ = [
    "../_base_/models/deeplabv3plus_x71_dpc.py",
    "../_base_/datasets/cityscapes.py",
    "../_base_/schedules/schedule_90k.py",
    "../_base_/default_runtime.py",
]

model = dict(
    data_preprocessor=dict(size=(769, 769), test_cfg=dict(size=(1025, 2049))),
)
# TensorFlow's weight decay for Xception (deeplab/train.py).
optim_wrapper = dict(optimizer=dict(weight_decay=4e-5))
