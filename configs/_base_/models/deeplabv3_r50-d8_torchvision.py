"""DeepLabv3 on ResNet-50 as torchvision builds it: its FCN with another head."""

_base_ = "./fcn_r50-d8_torchvision.py"

model = dict(
    decode_head=dict(
        _delete_=True,
        type="mmseg_deeplab_ext.TorchvisionDeepLabV3Head",
        in_channels=2048,
        in_index=3,
        channels=256,
        dilations=(1, 12, 24, 36),
        num_classes=21,
        norm_cfg=dict(type="BN"),
        loss_decode=dict(type="CrossEntropyLoss", avg_non_ignore=True),
    ),
)
