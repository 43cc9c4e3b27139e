"""The embedded default: DeepLabv3+ with ResNet-18-beta on rendered scenes, minutes on a CPU.

python tools/make_demo_dataset.py data/demo
python tools/train.py configs/deeplabv3plus_r18beta_demo.py --work-dir work_dirs/demo
"""

_base_ = [
    "./_base_/models/deeplabv3plus_r50beta.py",
    "./_base_/datasets/pascal_voc12.py",
    "./_base_/schedules/schedule_30k.py",
    "./_base_/default_runtime.py",
]

classes = ("background", "disc", "rectangle", "triangle", "star", "ring", "cross")
palette = [
    (38, 44, 58),
    (239, 83, 80),
    (66, 165, 245),
    (255, 202, 40),
    (171, 71, 188),
    (38, 198, 148),
    (255, 138, 52),
]
# The official momenta (0.05 in the backbone, 0.0003 in the head) are made for 30,000 iterations:
# after a few hundred the head's moving statistics would still be at their start, and evaluation,
# which uses them, would see noise.
norm_cfg = dict(type="BN", momentum=0.1)
model = dict(
    data_preprocessor=dict(size=(97, 97), test_cfg=dict(size=(129, 129))),
    backbone=dict(depth=18, multi_grid=(1, 2), norm_cfg=norm_cfg),
    decode_head=dict(
        in_channels=512, c1_in_channels=64, num_classes=len(classes), norm_cfg=norm_cfg
    ),
)

train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="RandomCrop", crop_size=(97, 97)),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackSegInputs"),
]
demo_dataset = dict(
    type="BaseSegDataset",
    metainfo=dict(classes=classes, palette=palette),
    data_root="data/demo",
    data_prefix=dict(img_path="JPEGImages", seg_map_path="SegmentationClass"),
)
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    dataset=dict(
        _delete_=True,
        ann_file="ImageSets/Segmentation/train.txt",
        pipeline=train_pipeline,
        **demo_dataset,
    ),
)
val_dataloader = dict(
    num_workers=1,
    dataset=dict(
        _delete_=True,
        ann_file="ImageSets/Segmentation/val.txt",
        pipeline=_base_.test_pipeline,
        **demo_dataset,
    ),
)
test_dataloader = val_dataloader

max_iters = 400
global_batch_size = 8
optim_wrapper = dict(optimizer=dict(lr=0.05))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.1, begin=0, end=20, by_epoch=False),
    dict(type="PolyLR", power=0.9, eta_min=0.0, begin=20, end=max_iters, by_epoch=False),
]
train_cfg = dict(max_iters=max_iters, val_interval=100)
default_hooks = dict(
    logger=dict(interval=10),
    checkpoint=dict(interval=100, max_keep_ckpts=2),
    visualization=dict(draw=True, interval=10),
)
randomness = dict(seed=0)
