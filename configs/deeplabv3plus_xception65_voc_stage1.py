"""The official VOC recipe on Xception-65, first stage: train_aug, batch norm trained.

python tools/train.py configs/deeplabv3plus_xception65_voc_stage1.py
"""

_base_ = "./deeplabv3plus/deeplabv3plus_x65-d16_b16-30k_voc12aug-513x513.py"

# Google's checkpoint of ImageNet and COCO: 292 MB, downloaded into PyTorch's cache if need be.
model = dict(
    backbone=dict(init_cfg=dict(type="Pretrained", checkpoint="tf-zoo://xception_65_imagenet_coco"))
)
