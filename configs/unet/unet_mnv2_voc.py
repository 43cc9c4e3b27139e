"""U-Net with MobileNetV2 on PASCAL VOC 2012 with SBD, crop 513.

python tools/train.py configs/unet/unet_mnv2_voc.py
"""

_base_ = "./unet_r50beta_voc.py"

model = dict(
    backbone=dict(
        _delete_=True,
        type="mmseg_deeplab_ext.MobileNetV2",
        output_stride=32,
        stem_map=True,
    ),
    decode_head=dict(in_channels=(32, 144, 192, 576, 320), decoder_channels=(256, 128, 64, 32, 16)),
)
# TensorFlow's weight decay for MobileNet (deeplab/train.py).
optim_wrapper = dict(optimizer=dict(weight_decay=4e-5))
