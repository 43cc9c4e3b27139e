"""VOC train_aug on one GPU of 12 GB: batch norm frozen, 4 images at a time, 4 times per step.

python tools/train.py configs/deeplabv3plus_r101beta_voc_12gb.py
"""

_base_ = "./deeplabv3plus/deeplabv3plus_r101beta-d16_b16-30k_voc12aug-513x513.py"

model = dict(
    backbone=dict(
        with_cp=True,
        init_cfg=dict(type="Pretrained", checkpoint="tf-zoo://resnet_v1_101_beta_imagenet"),
    )
)
# Batch statistics of 4 images would be poor. Frozen, 4 times 4 images are a batch of 16.
custom_hooks = [
    dict(type="mmseg_deeplab_ext.GlobalBatchSizeHook"),
    dict(type="mmseg_deeplab_ext.FreezeBatchNormHook"),
]
train_dataloader = dict(batch_size=4)
# The DeepLabv3 paper's rate with frozen batch norm.
optim_wrapper = dict(
    type="AmpOptimWrapper",
    loss_scale="dynamic",
    accumulative_counts=4,
    optimizer=dict(lr=0.001),
)
# Iterations count forward passes: 30,000 steps of 4.
param_scheduler = [dict(type="PolyLR", power=0.9, eta_min=0.0, begin=0, end=120001, by_epoch=False)]
train_cfg = dict(max_iters=120000, val_interval=8000)
default_hooks = dict(checkpoint=dict(interval=8000))
