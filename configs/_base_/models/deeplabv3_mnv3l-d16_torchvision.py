"""DeepLabv3 on MobileNetV3-Large as torchvision builds it: output stride 16, the same rates."""

_base_ = "./deeplabv3_r50-d8_torchvision.py"

model = dict(
    backbone=dict(_delete_=True, type="mmseg_deeplab_ext.TorchvisionMobileNetV3"),
    decode_head=dict(in_channels=960, in_index=1),
    auxiliary_head=dict(in_channels=40, in_index=0, channels=10),
)
