"""Xception-65 in three stages, the third: VOC train, batch norm frozen.

python tools/train.py configs/deeplabv3plus_xception65_coco_voc_stage3.py
"""

_base_ = "./deeplabv3plus_xception65_voc.py"

load_from = "work_dirs/deeplabv3plus_xception65_coco_voc_stage2/iter_30000.pth"
