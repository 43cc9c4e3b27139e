"""Google's DeepLabv3+ on MobileNetV3 large on Cityscapes val: output stride 32.

python tools/test.py configs/zoo/mobilenetv3_large_cityscapes_trainfine.py \
    tf-zoo://mobilenetv3_large_cityscapes_trainfine
"""

_base_ = "../deeplabv3plus/deeplabv3plus_mnv3l-d32_b16-90k_cityscapes-769x769.py"

load_from = "tf-zoo://mobilenetv3_large_cityscapes_trainfine"
