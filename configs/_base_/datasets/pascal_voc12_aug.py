"""PASCAL VOC 2012 with SBD (10,582 training images); prepare_voc.py brings the files."""

_base_ = "./pascal_voc12.py"

_voc = _base_.train_dataloader.dataset
_sbd = dict(
    type=_voc.type,
    data_root=_voc.data_root,
    data_prefix=dict(img_path="JPEGImages", seg_map_path="SegmentationClassAug"),
    ann_file="ImageSets/Segmentation/aug.txt",
    pipeline=_voc.pipeline,
)
train_dataloader = dict(
    dataset=dict(_delete_=True, type="ConcatDataset", datasets=[_voc, _sbd]),
)
