"""DeepLabv3+ with ResNet-18-beta on Cityscapes fine, output stride 16, crop 769.

python tools/train.py configs/deeplabv3plus/deeplabv3plus_r18beta-d16_b16-90k_cityscapes-769x769.py
"""

_base_ = "./deeplabv3plus_r50beta-d16_b16-90k_cityscapes-769x769.py"

model = dict(
    backbone=dict(depth=18, multi_grid=(1, 2)),
    decode_head=dict(in_channels=512, c1_in_channels=64),
)
