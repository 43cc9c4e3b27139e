"""DeepLabv3+ with ResNet-18-beta on ADE20K, output stride 16, crop 513.

python tools/train.py configs/deeplabv3plus/deeplabv3plus_r18beta-d16_b16-150k_ade20k-513x513.py
"""

_base_ = "./deeplabv3plus_r50beta-d16_b16-150k_ade20k-513x513.py"

model = dict(
    backbone=dict(depth=18, multi_grid=(1, 2)),
    decode_head=dict(in_channels=512, c1_in_channels=64),
)
