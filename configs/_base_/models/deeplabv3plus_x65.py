"""DeepLabv3+ on Xception-65 at output stride 16, as in TensorFlow's DeepLab.

Head and input are those of the ResNets; multi-grid, which Xception could have, is left at 1.
"""

_base_ = "./deeplabv3plus_r50beta.py"

model = dict(
    backbone=dict(_delete_=True, type="mmseg_deeplab_ext.Xception", depth=65, output_stride=16),
)
