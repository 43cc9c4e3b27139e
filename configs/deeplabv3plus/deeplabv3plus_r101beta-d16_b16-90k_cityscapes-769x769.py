"""DeepLabv3+ with ResNet-101-beta on Cityscapes fine, output stride 16, crop 769.

python tools/train.py configs/deeplabv3plus/deeplabv3plus_r101beta-d16_b16-90k_cityscapes-769x769.py
"""

_base_ = "./deeplabv3plus_r50beta-d16_b16-90k_cityscapes-769x769.py"

model = dict(backbone=dict(depth=101))
