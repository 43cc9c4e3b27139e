"""Google's DeepLabv3 on MobileNetV2 of half the width on VOC 2012 test: output stride 8.

python tools/test.py configs/zoo/mobilenetv2_dm05_coco_voc_trainval.py \
    tf-zoo://mobilenetv2_dm05_coco_voc_trainval \
    --out work_dirs/mobilenetv2_dm05_coco_voc_trainval/labels

It was trained on val; the test server scores the label maps.
"""

_base_ = "./mobilenetv2_coco_voc_trainval.py"

load_from = "tf-zoo://mobilenetv2_dm05_coco_voc_trainval"
model = dict(backbone=dict(widen_factor=0.5), decode_head=dict(in_channels=160))
