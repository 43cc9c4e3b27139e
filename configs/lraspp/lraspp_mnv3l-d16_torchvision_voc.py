"""LR-ASPP with MobileNetV3-Large by torchvision's recipe, on PASCAL VOC 2012.

python tools/train.py configs/lraspp/lraspp_mnv3l-d16_torchvision_voc.py
"""

_base_ = [
    "../_base_/models/lraspp_mnv3l-d16_torchvision.py",
    "../_base_/datasets/pascal_voc12_torchvision.py",
    "../_base_/schedules/torchvision_30e_voc.py",
]

# The rate and the weight decay of the reference for MobileNetV3.
optim_wrapper = dict(optimizer=dict(lr=0.01, weight_decay=1e-6))
