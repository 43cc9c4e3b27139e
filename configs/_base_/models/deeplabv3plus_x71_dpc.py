"""DeepLabv3+ on Xception-71 at output stride 16, with the dense prediction cell for Cityscapes.

The cell, which Google found by search, stands in the place of the ASPP and has rates of its own. At
output stride 8 the head needs output_stride=8 too.
"""

_base_ = "./deeplabv3plus_x65.py"

model = dict(
    backbone=dict(depth=71),
    decode_head=dict(
        _delete_=True,
        type="mmseg_deeplab_ext.DeepLabV3PlusHead",
        in_channels=2048,
        channels=256,
        dense_prediction_cell="branch5_top1_cityscapes",
        c1_in_channels=256,
        c1_channels=48,
        num_classes=19,
    ),
)
