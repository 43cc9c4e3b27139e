"""COCO with PASCAL VOC's classes, validated on VOC 2012; coco_as_voc.py draws the label maps."""

_base_ = "./pascal_voc12.py"

train_dataloader = dict(
    dataset=dict(
        data_root="data/coco",
        data_prefix=dict(img_path="train2017", seg_map_path="voc_labels/train2017"),
        ann_file="voc_labels/train2017.txt",
    ),
)
