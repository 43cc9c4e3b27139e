"""Google's DeepLabv3+ on Xception-65 on VOC 2012 val: output stride 8, scales and flips.

python tools/test.py configs/zoo/xception65_coco_voc_trainaug.py \
    tf-zoo://xception65_coco_voc_trainaug --tta

At output stride 16, single scale:

python tools/test.py configs/zoo/xception65_coco_voc_trainaug.py \
    tf-zoo://xception65_coco_voc_trainaug \
    --cfg-options model.backbone.output_stride=16 "model.decode_head.dilations=[1,6,12,18]"
"""

_base_ = "../deeplabv3plus/deeplabv3plus_x65-d16_b16-30k_voc12aug-513x513.py"

load_from = "tf-zoo://xception65_coco_voc_trainaug"
model = dict(backbone=dict(output_stride=8), decode_head=dict(dilations=(1, 12, 24, 36)))
