"""DeepLabv3 on MobileNet-EdgeTPU at output stride 16, as in the model zoo of TensorFlow's DeepLab.

Its head is MobileNetV2's: image pooling and the 1x1 branch only.
"""

_base_ = "./deeplabv3_mnv2.py"

model = dict(
    backbone=dict(
        _delete_=True,
        type="mmseg_deeplab_ext.MobileNetEdgeTPU",
        widen_factor=1.0,
        output_stride=16,
    ),
    decode_head=dict(in_channels=1280, num_classes=19),
)
