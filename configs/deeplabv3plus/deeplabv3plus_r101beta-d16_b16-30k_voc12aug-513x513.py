"""DeepLabv3+ with ResNet-101-beta on PASCAL VOC 2012 with SBD (train_aug), OS16, crop 513.

python tools/train.py configs/deeplabv3plus/deeplabv3plus_r101beta-d16_b16-30k_voc12aug-513x513.py
"""

_base_ = "./deeplabv3plus_r50beta-d16_b16-30k_voc12aug-513x513.py"

model = dict(backbone=dict(depth=101))
