"""Google's DeepLabv3+ on Xception-65 on Cityscapes val: output stride 8, scales and flips.

python tools/test.py configs/zoo/xception65_cityscapes_trainfine.py \
    tf-zoo://xception65_cityscapes_trainfine --tta

At output stride 16, single scale:

python tools/test.py configs/zoo/xception65_cityscapes_trainfine.py \
    tf-zoo://xception65_cityscapes_trainfine \
    --cfg-options model.backbone.output_stride=16 "model.decode_head.dilations=[1,6,12,18]"
"""

_base_ = "../deeplabv3plus/deeplabv3plus_x65-d16_b16-90k_cityscapes-769x769.py"

load_from = "tf-zoo://xception65_cityscapes_trainfine"
model = dict(backbone=dict(output_stride=8), decode_head=dict(dilations=(1, 12, 24, 36)))
