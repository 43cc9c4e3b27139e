"""Google's DeepLabv3 on MobileNet-EdgeTPU on Cityscapes val: output stride 16.

python tools/test.py configs/zoo/EdgeTPU-DeepLab.py \
    tf-zoo://EdgeTPU-DeepLab

At output stride 32:

python tools/test.py configs/zoo/EdgeTPU-DeepLab.py \
    tf-zoo://EdgeTPU-DeepLab \
    --cfg-options model.backbone.output_stride=32
"""

_base_ = [
    "../_base_/models/deeplabv3_edgetpu.py",
    "../_base_/datasets/cityscapes.py",
    "../_base_/schedules/schedule_90k.py",
    "../_base_/default_runtime.py",
]

load_from = "tf-zoo://EdgeTPU-DeepLab"
model = dict(
    data_preprocessor=dict(size=(769, 769), test_cfg=dict(size=(1025, 2049))),
)
optim_wrapper = dict(optimizer=dict(weight_decay=4e-5))
