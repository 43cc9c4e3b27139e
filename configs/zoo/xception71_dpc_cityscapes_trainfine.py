"""Google's DeepLabv3+ on Xception-71 with a dense prediction cell on Cityscapes val: OS16.

python tools/test.py configs/zoo/xception71_dpc_cityscapes_trainfine.py \
    tf-zoo://xception71_dpc_cityscapes_trainfine
"""

_base_ = "../deeplabv3plus/deeplabv3plus_x71dpc-d16_b16-90k_cityscapes-769x769.py"

load_from = "tf-zoo://xception71_dpc_cityscapes_trainfine"
