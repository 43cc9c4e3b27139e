"""FCN-32s with VGG16 on PASCAL VOC 2012 with SBD: the first of three stages, from ImageNet.

python tools/train.py configs/fcn/fcn32s_vgg16_voc.py
"""

_base_ = [
    "../_base_/models/fcn32s_vgg16.py",
    "../_base_/datasets/pascal_voc12_aug_whole.py",
    "../_base_/schedules/fcn_30k.py",
    "../_base_/default_runtime.py",
]

train_dataloader = dict(batch_size=20)
