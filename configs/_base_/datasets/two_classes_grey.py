"""Large grey images with two classes: trained on patches, evaluated through a sliding window.

data/grey/images/NAME.png, data/grey/labels/NAME.png (0, 1; 255 is ignored), and the names in
data/grey/train.txt and data/grey/val.txt, one a line.
"""

crop_size = (513, 513)
train_pipeline = [
    dict(type="LoadImageFromFile"),  # a grey image becomes three equal channels
    dict(type="LoadAnnotations"),
    # Patches of one class alone are drawn anew, up to ten times.
    dict(type="RandomCrop", crop_size=crop_size, cat_max_ratio=0.95),
    dict(type="RandomFlip", prob=[0.25, 0.25], direction=["horizontal", "vertical"]),
    dict(type="PackSegInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="PackSegInputs"),
]
_grey = dict(
    type="BaseSegDataset",
    metainfo=dict(classes=("background", "foreground"), palette=[(0, 0, 0), (255, 255, 255)]),
    data_root="data/grey",
    data_prefix=dict(img_path="images", seg_map_path="labels"),
    img_suffix=".png",
    seg_map_suffix=".png",
)
train_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(ann_file="train.txt", pipeline=train_pipeline, **_grey),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(ann_file="val.txt", pipeline=test_pipeline, **_grey),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="IoUMetric", iou_metrics=["mIoU", "mDice"])
test_evaluator = val_evaluator
