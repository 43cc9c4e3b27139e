"""Google's DeepLabv3 on MobileNet-EdgeTPU of 0.75 of the width on Cityscapes val: output stride 16.

python tools/test.py configs/zoo/EdgeTPU-DeepLab-slim.py \
    tf-zoo://EdgeTPU-DeepLab-slim

At output stride 32:

python tools/test.py configs/zoo/EdgeTPU-DeepLab-slim.py \
    tf-zoo://EdgeTPU-DeepLab-slim \
    --cfg-options model.backbone.output_stride=32
"""

_base_ = "./EdgeTPU-DeepLab.py"

load_from = "tf-zoo://EdgeTPU-DeepLab-slim"
model = dict(
    backbone=dict(widen_factor=0.75),
    decode_head=dict(in_channels=960, channels=128),
)
