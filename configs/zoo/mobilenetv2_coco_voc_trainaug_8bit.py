"""Google's 8-bit DeepLabv3 on MobileNetV2, as a float network, on VOC 2012 val: OS16.

python tools/test.py configs/zoo/mobilenetv2_coco_voc_trainaug_8bit.py \
    tf-zoo://mobilenetv2_coco_voc_trainaug_8bit
"""

_base_ = "../deeplabv3/deeplabv3_mnv2-d16_b16-30k_voc12aug-513x513.py"

load_from = "tf-zoo://mobilenetv2_coco_voc_trainaug_8bit"
