"""DeepLabv3+ on ResNet-50-beta at output stride 16, as in TensorFlow's DeepLab."""

model = dict(
    type="EncoderDecoder",
    data_preprocessor=dict(
        type="SegDataPreProcessor",
        # The _beta networks see RGB scaled to [-1, 1]. Padding comes after it, so 0 is the
        # official padding with mean pixels of 127.5.
        mean=[127.5, 127.5, 127.5],
        std=[127.5, 127.5, 127.5],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
    ),
    # Weights start from random (He). To start from Google's ImageNet weights, add to the backbone
    #   init_cfg=dict(type="Pretrained", checkpoint="tf-zoo://resnet_v1_50_beta_imagenet")
    # Only weights of this network fit: open-mmlab://resnet101_v1c has a 64-channel stem and
    # strides in the first unit of each block; here the stem is 128 wide and strides come last.
    backbone=dict(
        type="mmseg_deeplab_ext.ResNetV1Beta",
        depth=50,
        output_stride=16,
        multi_grid=(1, 2, 4),
    ),
    decode_head=dict(
        type="mmseg_deeplab_ext.DeepLabV3PlusHead",
        in_channels=2048,
        channels=256,
        dilations=(1, 6, 12, 18),
        c1_in_channels=256,
        c1_channels=48,
        num_classes=21,
    ),
    train_cfg=dict(),
    test_cfg=dict(mode="whole"),
)
