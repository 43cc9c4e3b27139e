"""DeepLabv3 on ResNet-101-beta at output stride 16, as in its paper: dense ASPP, no decoder."""

_base_ = "./deeplabv3plus_r50beta.py"

model = dict(
    # Google's ImageNet checkpoint: 477 MB, downloaded into PyTorch's cache if it is not there yet.
    backbone=dict(
        depth=101,
        init_cfg=dict(type="Pretrained", checkpoint="tf-zoo://resnet_v1_101_beta_imagenet"),
    ),
    decode_head=dict(aspp_separable=False, c1_in_channels=0),
)
