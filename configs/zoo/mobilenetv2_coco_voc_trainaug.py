"""Google's DeepLabv3 on MobileNetV2 on VOC 2012 val: output stride 8, scales and flips.

python tools/test.py configs/zoo/mobilenetv2_coco_voc_trainaug.py \
    tf-zoo://mobilenetv2_coco_voc_trainaug --tta

At output stride 16, single scale:

python tools/test.py configs/zoo/mobilenetv2_coco_voc_trainaug.py \
    tf-zoo://mobilenetv2_coco_voc_trainaug \
    --cfg-options model.backbone.output_stride=16
"""

_base_ = "../deeplabv3/deeplabv3_mnv2-d16_b16-30k_voc12aug-513x513.py"

load_from = "tf-zoo://mobilenetv2_coco_voc_trainaug"
model = dict(backbone=dict(output_stride=8))
