"""PASCAL VOC 2012 with SBD, whole images padded into one batch: they have 500 pixels at most."""

_base_ = "./pascal_voc12_aug.py"

train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackSegInputs"),
]
_voc = dict(_base_.train_dataloader.dataset.datasets[0], pipeline=train_pipeline)
_sbd = dict(_base_.train_dataloader.dataset.datasets[1], pipeline=train_pipeline)
train_dataloader = dict(
    dataset=dict(_delete_=True, type="ConcatDataset", datasets=[_voc, _sbd]),
)
