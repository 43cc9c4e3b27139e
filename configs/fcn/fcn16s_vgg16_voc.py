"""FCN-16s with VGG16 on PASCAL VOC 2012 with SBD: the second stage, from FCN-32s.

python tools/train.py configs/fcn/fcn16s_vgg16_voc.py
"""

_base_ = "./fcn32s_vgg16_voc.py"

model = dict(
    backbone=dict(out_indices=(3, 5), init_cfg=None),
    decode_head=dict(in_channels=(512, 4096)),
)
load_from = "work_dirs/fcn32s_vgg16_voc/iter_30000.pth"
# The paper divides the rate by 100.
optim_wrapper = dict(optimizer=dict(lr=1e-6))
