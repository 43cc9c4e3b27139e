"""Google's DeepLabv3+ on Xception-65 on VOC 2012 test: output stride 8, scales and flips.

python tools/test.py configs/zoo/xception65_coco_voc_trainval.py \
    tf-zoo://xception65_coco_voc_trainval --tta \
    --out work_dirs/xception65_coco_voc_trainval/labels

It was trained on val; the test server scores the label maps.
"""

_base_ = "./xception65_coco_voc_trainaug.py"

load_from = "tf-zoo://xception65_coco_voc_trainval"
# The labels of this split are on the test server only.
test_pipeline = [dict(type="LoadImageFromFile"), dict(type="PackSegInputs")]
tta_pipeline = test_pipeline
test_dataloader = dict(
    dataset=dict(ann_file="ImageSets/Segmentation/test.txt", pipeline=test_pipeline)
)
test_evaluator = dict(format_only=True)
