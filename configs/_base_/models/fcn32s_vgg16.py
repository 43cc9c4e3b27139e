"""FCN-32s on VGG16, with fc6 padded by 3."""

model = dict(
    type="EncoderDecoder",
    data_preprocessor=dict(
        type="SegDataPreProcessor",
        # torchvision's weights see RGB in ImageNet's mean and standard deviation.
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        # Multiples of 32: pooling drops no row, so that scores and image line up.
        size=(512, 512),
        test_cfg=dict(size_divisor=32),
    ),
    backbone=dict(
        type="mmseg_deeplab_ext.VGG16",
        padding=3,
        out_indices=(5,),
        # ImageNet's weights, 528 MB, downloaded once; a local file's path goes as well. fc6 and fc7
        # are part of them.
        init_cfg=dict(
            type="Pretrained",
            checkpoint="https://download.pytorch.org/models/vgg16-397923af.pth",
        ),
    ),
    decode_head=dict(
        type="mmseg_deeplab_ext.FCNSkipHead",
        in_channels=(4096,),
        num_classes=21,
        loss_decode=dict(type="CrossEntropyLoss", avg_non_ignore=True),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode="whole"),
)
