"""ResNet-101-beta in three stages, the second: VOC train_aug, from the weights of COCO.

python tools/train.py configs/deeplabv3plus_r101beta_coco_voc_stage2.py
"""

_base_ = "./deeplabv3plus/deeplabv3plus_r101beta-d16_b16-30k_voc12aug-513x513.py"

load_from = "work_dirs/deeplabv3plus_r101beta_coco_voc_stage1/iter_90000.pth"
# The DeepLabv3 paper's rate after COCO.
optim_wrapper = dict(optimizer=dict(lr=1e-4))
