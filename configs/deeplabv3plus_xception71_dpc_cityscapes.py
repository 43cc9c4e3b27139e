"""The official Cityscapes recipe on Xception-71 with the dense prediction cell, from ImageNet.

python tools/train.py configs/deeplabv3plus_xception71_dpc_cityscapes.py
tools/dist_train.sh configs/deeplabv3plus_xception71_dpc_cityscapes.py 8
"""

_base_ = "./deeplabv3plus/deeplabv3plus_x71dpc-d16_b16-90k_cityscapes-769x769.py"

# Google's checkpoint: 474 MB, downloaded into PyTorch's cache if it is not there yet.
model = dict(
    backbone=dict(init_cfg=dict(type="Pretrained", checkpoint="tf-zoo://xception_71_imagenet"))
)
