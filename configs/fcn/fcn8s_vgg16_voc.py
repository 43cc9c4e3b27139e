"""FCN-8s with VGG16 on PASCAL VOC 2012 with SBD: the third stage, from FCN-16s.

python tools/train.py configs/fcn/fcn8s_vgg16_voc.py
"""

_base_ = "./fcn16s_vgg16_voc.py"

model = dict(
    backbone=dict(out_indices=(2, 3, 5)),
    decode_head=dict(in_channels=(256, 512, 4096)),
)
load_from = "work_dirs/fcn16s_vgg16_voc/iter_30000.pth"
# As the authors' published code, which divides by 100 again.
optim_wrapper = dict(optimizer=dict(lr=1e-8))
