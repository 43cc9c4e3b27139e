"""DeepLabv3+ with MobileNetV3 small on Cityscapes fine, output stride 32, crop 769.

python tools/train.py configs/deeplabv3plus/deeplabv3plus_mnv3s-d32_b16-90k_cityscapes-769x769.py
"""

_base_ = "./deeplabv3plus_mnv3l-d32_b16-90k_cityscapes-769x769.py"

model = dict(
    backbone=dict(arch="small"),
    decode_head=dict(in_channels=288, c1_in_channels=88),
)
