"""DeepLabv3+ with ResNet-101-beta on PASCAL VOC 2012: the short name of the official recipe.

python tools/train.py configs/deeplabv3plus_r101beta_voc.py
tools/dist_train.sh configs/deeplabv3plus_r101beta_voc.py 8
"""

_base_ = "./deeplabv3plus/deeplabv3plus_r101beta-d16_b16-30k_voc12-513x513.py"
