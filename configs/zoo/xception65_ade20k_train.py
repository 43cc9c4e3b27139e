"""Google's DeepLabv3+ on Xception-65 on ADE20K val: output stride 8, scales and flips.

python tools/test.py configs/zoo/xception65_ade20k_train.py \
    tf-zoo://xception65_ade20k_train --tta
"""

_base_ = [
    "../_base_/models/deeplabv3plus_x65.py",
    "../_base_/datasets/ade20k_151.py",
    "../_base_/schedules/schedule_150k.py",
    "../_base_/default_runtime.py",
]

load_from = "tf-zoo://xception65_ade20k_train"
model = dict(
    data_preprocessor=dict(size=(513, 513), test_cfg=dict(size=(513, 513)), seg_pad_val=0),
    backbone=dict(output_stride=8),
    decode_head=dict(dilations=(1, 12, 24, 36), num_classes=151, ignore_index=0),
)
optim_wrapper = dict(optimizer=dict(weight_decay=4e-5))
