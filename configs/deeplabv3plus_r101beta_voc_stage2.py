"""The official VOC recipe, second stage: train from the first stage's weights, batch norm frozen.

python tools/train.py configs/deeplabv3plus_r101beta_voc_stage2.py
"""

_base_ = "./deeplabv3plus/deeplabv3plus_r101beta-d16_b16-30k_voc12-513x513.py"

load_from = "work_dirs/deeplabv3plus_r101beta_voc_stage1/iter_30000.pth"
# TensorFlow: --fine_tune_batch_norm=False.
custom_hooks = [
    dict(type="mmseg_deeplab_ext.GlobalBatchSizeHook"),
    dict(type="mmseg_deeplab_ext.FreezeBatchNormHook"),
]
# The rate that deeplab/train.py names for fine-tuning. (The DeepLabv3 paper has 0.001, at output
# stride 8.)
optim_wrapper = dict(optimizer=dict(lr=1e-4))
