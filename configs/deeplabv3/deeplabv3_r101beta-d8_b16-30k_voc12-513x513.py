"""DeepLabv3's second stage: PASCAL VOC 2012 train at output stride 8, the rates doubled.

python tools/train.py configs/deeplabv3/deeplabv3_r101beta-d8_b16-30k_voc12-513x513.py
"""

_base_ = [
    "../_base_/models/deeplabv3_r101beta.py",
    "../_base_/datasets/pascal_voc12.py",
    "../_base_/schedules/schedule_30k.py",
    "../_base_/default_runtime.py",
]

model = dict(
    data_preprocessor=dict(size=(513, 513), test_cfg=dict(size=(513, 513))),
    backbone=dict(output_stride=8, init_cfg=None),
    decode_head=dict(dilations=(1, 12, 24, 36)),
)
load_from = "work_dirs/deeplabv3_r101beta-d16_b16-30k_voc12aug-513x513/iter_30000.pth"
custom_hooks = [
    dict(type="mmseg_deeplab_ext.GlobalBatchSizeHook"),
    dict(type="mmseg_deeplab_ext.FreezeBatchNormHook"),
]
# The paper's rate with frozen batch norm.
optim_wrapper = dict(optimizer=dict(lr=0.001))
