"""U-Net on ResNet-50-beta at output stride 32: maps at strides 2, 4, 8, 16 and 32."""

model = dict(
    type="EncoderDecoder",
    data_preprocessor=dict(
        type="SegDataPreProcessor",
        # As for every _beta network: RGB from -1 to 1.
        mean=[127.5, 127.5, 127.5],
        std=[127.5, 127.5, 127.5],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
    ),
    # Weights start from random (He). To start from Google's ImageNet weights, add to the backbone
    #   init_cfg=dict(type="Pretrained", checkpoint="tf-zoo://resnet_v1_50_beta_imagenet")
    backbone=dict(
        type="mmseg_deeplab_ext.ResNetV1Beta",
        depth=50,
        output_stride=32,
        multi_grid=(1, 2, 4),
        stem_map=True,
    ),
    decode_head=dict(
        type="mmseg_deeplab_ext.UNetHead",
        in_channels=(128, 256, 512, 1024, 2048),
        in_index=(4, 0, 1, 2, 3),  # the stem's map comes last
        decoder_channels=(512, 256, 128, 64, 64),
        num_classes=21,
        norm_cfg=dict(type="BN"),
        align_corners=True,
        loss_decode=dict(type="mmseg_deeplab_ext.DeepLabCrossEntropyLoss"),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode="whole"),
)
