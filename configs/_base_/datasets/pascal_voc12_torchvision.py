"""PASCAL VOC 2012 with the data preparation of torchvision's reference (presets.py)."""

_base_ = "./pascal_voc12.py"

crop_size = (480, 480)
# The shorter side is 520 pixels long, whatever the longer one is.
_shorter_side = (100000, 520)
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="RandomResize", scale=_shorter_side, ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type="RandomFlip", prob=0.5),
    dict(type="Pad", size=crop_size, pad_val=dict(img=0, seg=255)),
    dict(type="RandomCrop", crop_size=crop_size),
    dict(type="PackSegInputs"),
]
# The labels keep their size, and predictions are resized to it; torchvision resizes the labels.
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=_shorter_side, keep_ratio=True),
    dict(type="LoadAnnotations"),
    dict(type="PackSegInputs"),
]
# MMSegmentation's merge of scales and flips: TensorFlow's resizes with aligned corners.
tta_model = dict(_delete_=True, type="SegTTAModel")
tta_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(
        type="TestTimeAug",
        transforms=[
            [
                dict(type="Resize", scale=(100000, int(520 * ratio)), keep_ratio=True)
                for ratio in (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
            ],
            [dict(type="RandomFlip", prob=prob, direction="horizontal") for prob in (0.0, 1.0)],
            [dict(type="LoadAnnotations")],
            [dict(type="PackSegInputs")],
        ],
    ),
]
train_dataloader = dict(batch_size=32, drop_last=True, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
