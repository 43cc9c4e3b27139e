"""DeepLabv3+ with ResNet-101-beta on ADE20K, output stride 16, crop 513.

python tools/train.py configs/deeplabv3plus/deeplabv3plus_r101beta-d16_b16-150k_ade20k-513x513.py
"""

_base_ = "./deeplabv3plus_r50beta-d16_b16-150k_ade20k-513x513.py"

model = dict(backbone=dict(depth=101))
