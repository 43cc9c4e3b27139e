"""LR-ASPP on MobileNetV3-Large as torchvision builds it: no auxiliary head."""

_base_ = "./deeplabv3_mnv3l-d16_torchvision.py"

model = dict(
    decode_head=dict(
        _delete_=True,
        type="mmseg_deeplab_ext.TorchvisionLRASPPHead",
        in_channels=(40, 960),
        in_index=(0, 1),
        channels=128,
        num_classes=21,
        norm_cfg=dict(type="BN"),
        loss_decode=dict(type="CrossEntropyLoss", avg_non_ignore=True),
    ),
    auxiliary_head=None,
)
