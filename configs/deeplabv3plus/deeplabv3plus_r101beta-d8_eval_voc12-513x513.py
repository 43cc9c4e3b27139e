"""Evaluate weights trained at output stride 16 at output stride 8 (the rates doubled) on VOC 2012.

python tools/test.py configs/deeplabv3plus/deeplabv3plus_r101beta-d8_eval_voc12-513x513.py \
    work_dirs/deeplabv3plus_r101beta_voc/iter_30000.pth
"""

_base_ = "./deeplabv3plus_r101beta-d16_b16-30k_voc12-513x513.py"

model = dict(
    backbone=dict(output_stride=8),
    decode_head=dict(dilations=(1, 12, 24, 36)),
)
