"""ResNet-101-beta in three stages, the third: VOC train, batch norm frozen.

python tools/train.py configs/deeplabv3plus_r101beta_coco_voc_stage3.py
"""

_base_ = "./deeplabv3plus_r101beta_voc_stage2.py"

load_from = "work_dirs/deeplabv3plus_r101beta_coco_voc_stage2/iter_30000.pth"
