"""ADE20K as TensorFlow's DeepLab has it: 151 channels, scores at the resized size.

Labels stay as the files have them: 0, "none of the classes", is ignored in training and in scores.
The model needs num_classes=151 and ignore_index=0 in its head, and seg_pad_val=0.
"""

_base_ = "./ade20k.py"

# Down here: a file that starts with an import is a config of another kind to MMEngine.
from mmseg.utils import get_classes, get_palette  # noqa: E402

dataset_type = "BaseSegDataset"
_data = dict(
    type=dataset_type,
    metainfo=dict(classes=["other", *get_classes("ade")], palette=[[0, 0, 0], *get_palette("ade")]),
    img_suffix=".jpg",
    seg_map_suffix=".png",
    reduce_zero_label=False,
)
train_pipeline = _base_.train_pipeline
train_pipeline[-3]["pad_val"] = dict(img=127.5, seg=0)  # of RandomScaleCrop
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(_base_.resize, as_original=True),
    dict(type="PackSegInputs"),
]
tta_pipeline = test_pipeline
train_dataloader = dict(dataset=dict(pipeline=train_pipeline, **_data))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline, **_data))
test_dataloader = val_dataloader
val_evaluator = dict(ignore_index=0)
test_evaluator = val_evaluator
del _data
