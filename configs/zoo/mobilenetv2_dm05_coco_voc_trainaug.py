"""Google's DeepLabv3 on MobileNetV2 of half the width on VOC 2012 val: output stride 16.

python tools/test.py configs/zoo/mobilenetv2_dm05_coco_voc_trainaug.py \
    tf-zoo://mobilenetv2_dm05_coco_voc_trainaug
"""

_base_ = "../deeplabv3/deeplabv3_mnv2-d16_b16-30k_voc12aug-513x513.py"

load_from = "tf-zoo://mobilenetv2_dm05_coco_voc_trainaug"
model = dict(backbone=dict(widen_factor=0.5), decode_head=dict(in_channels=160))
