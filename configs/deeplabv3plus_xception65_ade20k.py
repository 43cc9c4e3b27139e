"""The official ADE20K recipe on Xception-65, from Google's ImageNet weights.

python tools/train.py configs/deeplabv3plus_xception65_ade20k.py
tools/dist_train.sh configs/deeplabv3plus_xception65_ade20k.py 8
"""

_base_ = "./deeplabv3plus/deeplabv3plus_x65-d16_b16-150k_ade20k-513x513.py"

# 447 MB, downloaded into PyTorch's cache if it is not there yet.
model = dict(
    backbone=dict(init_cfg=dict(type="Pretrained", checkpoint="tf-zoo://xception_65_imagenet"))
)
