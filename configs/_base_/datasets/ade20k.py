"""ADE20K, 150 classes; laid out as MMSegmentation's dataset page describes."""

dataset_type = "ADE20KDataset"
data_root = "data/ade/ADEChallengeData2016"
crop_size = (513, 513)
# TensorFlow: --min_resize_value=513 --max_resize_value=513 --resize_factor=16, the output stride.
resize = dict(type="mmseg_deeplab_ext.ResizeToRange", scale=513, max_size=513, factor=16)
# As TensorFlow: scale, pad with the mean pixel, crop, flip; no colour jitter.
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    resize,
    dict(
        type="mmseg_deeplab_ext.RandomScaleCrop",
        crop_size=crop_size,
        ratio_range=(0.5, 2.0),
        step=0.25,
        pad_val=dict(img=127.5, seg=255),
    ),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackSegInputs"),
]
# Predictions are brought back to the size of the file and compared there, as MMSegmentation does.
# TensorFlow compares at the resized size: LoadAnnotations first, then ResizeToRange with
# as_original=True.
test_pipeline = [
    dict(type="LoadImageFromFile"),
    resize,
    dict(type="LoadAnnotations"),
    dict(type="PackSegInputs"),
]
# TensorFlow: --eval_scales, --add_flipped_images. The model scales and flips the padded image.
tta_pipeline = test_pipeline
tta_model = dict(
    type="mmseg_deeplab_ext.DeepLabTTAModel",
    scales=(0.5, 0.75, 1.0, 1.25, 1.5, 1.75),
    flip=True,
)
train_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path="images/training", seg_map_path="annotations/training"),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        data_prefix=dict(img_path="images/validation", seg_map_path="annotations/validation"),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="IoUMetric", iou_metrics=["mIoU"])
test_evaluator = val_evaluator
