"""FCN on ResNet-50 as torchvision builds it: output stride 8, an auxiliary head on stage 3.

MMSegmentation's own classes: they compute the same from the same weights.
"""

# torchvision averages the loss over the pixels that are not ignored.
_loss = dict(type="CrossEntropyLoss", avg_non_ignore=True)
model = dict(
    type="EncoderDecoder",
    data_preprocessor=dict(
        type="SegDataPreProcessor",
        mean=[123.675, 116.28, 103.53],  # 255 times (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(480, 480),
    ),
    # The first unit of a dilated stage has the dilation before it (contract_dilation).
    backbone=dict(
        type="mmseg.ResNet",
        depth=50,
        strides=(1, 2, 1, 1),
        dilations=(1, 1, 2, 4),
        contract_dilation=True,
        style="pytorch",
    ),
    decode_head=dict(
        type="mmseg.FCNHead",
        in_channels=2048,
        in_index=3,
        channels=512,
        num_convs=1,
        concat_input=False,
        num_classes=21,
        norm_cfg=dict(type="BN"),
        loss_decode=dict(**_loss, loss_weight=1.0),
    ),
    auxiliary_head=dict(
        type="mmseg.FCNHead",
        in_channels=1024,
        in_index=2,
        channels=256,
        num_convs=1,
        concat_input=False,
        num_classes=21,
        norm_cfg=dict(type="BN"),
        loss_decode=dict(**_loss, loss_weight=0.5),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode="whole"),
)
