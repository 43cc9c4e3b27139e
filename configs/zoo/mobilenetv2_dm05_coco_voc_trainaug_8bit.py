"""Google's 8-bit MobileNetV2 of half the width, as a float network, on VOC 2012 val: OS16.

python tools/test.py configs/zoo/mobilenetv2_dm05_coco_voc_trainaug_8bit.py \
    tf-zoo://mobilenetv2_dm05_coco_voc_trainaug_8bit
"""

_base_ = "./mobilenetv2_dm05_coco_voc_trainaug.py"

load_from = "tf-zoo://mobilenetv2_dm05_coco_voc_trainaug_8bit"
