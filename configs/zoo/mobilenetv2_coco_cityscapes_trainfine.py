"""Google's DeepLabv3 on MobileNetV2 on Cityscapes val: output stride 8, scales and flips.

python tools/test.py configs/zoo/mobilenetv2_coco_cityscapes_trainfine.py \
    tf-zoo://mobilenetv2_coco_cityscapes_trainfine --tta

At output stride 16, single scale:

python tools/test.py configs/zoo/mobilenetv2_coco_cityscapes_trainfine.py \
    tf-zoo://mobilenetv2_coco_cityscapes_trainfine \
    --cfg-options model.backbone.output_stride=16
"""

_base_ = [
    "../_base_/models/deeplabv3_mnv2.py",
    "../_base_/datasets/cityscapes.py",
    "../_base_/schedules/schedule_90k.py",
    "../_base_/default_runtime.py",
]

load_from = "tf-zoo://mobilenetv2_coco_cityscapes_trainfine"
model = dict(
    data_preprocessor=dict(size=(769, 769), test_cfg=dict(size=(1025, 2049))),
    backbone=dict(output_stride=8),
    decode_head=dict(num_classes=19),
)
optim_wrapper = dict(optimizer=dict(weight_decay=4e-5))
