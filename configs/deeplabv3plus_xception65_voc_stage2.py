"""The official VOC recipe on Xception-65, second stage: train from the first stage's weights.

python tools/train.py configs/deeplabv3plus_xception65_voc_stage2.py
"""

_base_ = "./deeplabv3plus_xception65_voc.py"

load_from = "work_dirs/deeplabv3plus_xception65_voc_stage1/iter_30000.pth"
