"""DeepLabv3's cascade on ResNet-101-beta at output stride 16: blocks 5 to 7, and no ASPP.

The ImageNet weights of block 4 start the other three, too.
"""

_base_ = "./deeplabv3_r101beta.py"

model = dict(
    backbone=dict(cascade=3, multi_grid=(1, 2, 1)),
    # The logits, right from block 7.
    decode_head=dict(
        _delete_=True,
        type="FCNHead",
        in_channels=2048,
        channels=2048,
        in_index=3,
        num_convs=0,
        concat_input=False,
        dropout_ratio=0,
        num_classes=21,
        align_corners=True,
        loss_decode=dict(type="mmseg_deeplab_ext.DeepLabCrossEntropyLoss"),
    ),
)
