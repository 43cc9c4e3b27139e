"""The official VOC recipe, first stage: train_aug from ImageNet weights, batch norm trained.

python tools/train.py configs/deeplabv3plus_r101beta_voc_stage1.py
"""

_base_ = "./deeplabv3plus/deeplabv3plus_r101beta-d16_b16-30k_voc12aug-513x513.py"

# Google's ImageNet checkpoint: 477 MB, downloaded into PyTorch's cache if it is not there yet.
model = dict(
    backbone=dict(
        init_cfg=dict(type="Pretrained", checkpoint="tf-zoo://resnet_v1_101_beta_imagenet")
    )
)
