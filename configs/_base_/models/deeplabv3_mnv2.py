"""DeepLabv3 on MobileNetV2 at output stride 16, as in the model zoo of TensorFlow's DeepLab.

Its head has image pooling and the 1x1 branch only: no atrous branches, no decoder.
"""

model = dict(
    type="EncoderDecoder",
    data_preprocessor=dict(
        type="SegDataPreProcessor",
        # The network sees RGB scaled to [-1, 1]. Padding comes after it, so 0 is the official
        # padding with mean pixels of 127.5.
        mean=[127.5, 127.5, 127.5],
        std=[127.5, 127.5, 127.5],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
    ),
    # The prefix is needed: the bare name is MMSegmentation's own MobileNetV2, another network.
    backbone=dict(
        type="mmseg_deeplab_ext.MobileNetV2",
        widen_factor=1.0,
        output_stride=16,
    ),
    decode_head=dict(
        type="mmseg_deeplab_ext.DeepLabV3PlusHead",
        in_channels=320,
        channels=256,
        dilations=(1,),
        num_classes=21,
    ),
    train_cfg=dict(),
    test_cfg=dict(mode="whole"),
)
