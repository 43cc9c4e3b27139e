"""DeepLabv3+ on MMSegmentation's MobileNetV2, made dense, with a decoder on its 24 channels.

A common re-implementation of DeepLabv3+ with MobileNetV2. TensorFlow's taps the 144 channels within
the next unit: mmseg_deeplab_ext.MobileNetV2.
"""

model = dict(
    type="EncoderDecoder",
    data_preprocessor=dict(
        type="SegDataPreProcessor",
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
    ),
    # Weights start from random. To start from ImageNet's, add to the backbone
    #   init_cfg=dict(type="Pretrained", checkpoint="mmcls://mobilenet_v2")
    backbone=dict(
        type="mmseg_deeplab_ext.AtrousBackbone",
        network=dict(type="MobileNetV2"),
        output_stride=16,
        out_strides=(4, 32),
    ),
    decode_head=dict(
        type="mmseg_deeplab_ext.DeepLabV3PlusHead",
        in_channels=320,
        channels=256,
        dilations=(1, 6, 12, 18),
        c1_in_channels=24,
        c1_channels=48,
        num_classes=21,
    ),
    train_cfg=dict(),
    test_cfg=dict(mode="whole"),
)
