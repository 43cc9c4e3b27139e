"""DeepLabv3 with ResNet-101 by torchvision's recipe, on PASCAL VOC 2012.

python tools/train.py configs/deeplabv3/deeplabv3_r101-d8_torchvision_voc.py
"""

_base_ = [
    "../_base_/models/deeplabv3_r50-d8_torchvision.py",
    "../_base_/datasets/pascal_voc12_torchvision.py",
    "../_base_/schedules/torchvision_30e_voc.py",
]

model = dict(backbone=dict(depth=101))
