"""DeepLabv3 on VOC as common re-implementations train it: 1x and 10x rates, batch norm frozen.

python tools/train.py configs/deeplabv3_r101beta_voc_10x.py
"""

_base_ = "./deeplabv3/deeplabv3_r101beta-d16_b16-30k_voc12aug-513x513.py"

# The head starts from nothing: it learns ten times as fast, and its batch norms are trained, with
# PyTorch's momentum. Those of the backbone keep the statistics of ImageNet.
model = dict(
    backbone=dict(norm_eval=True),
    decode_head=dict(norm_cfg=dict(type="BN", momentum=0.1)),
)
optim_wrapper = dict(
    constructor="mmseg_deeplab_ext.LastLayerOptimWrapperConstructor",
    optimizer=dict(lr=0.001),
    paramwise_cfg=dict(last_layer_gradient_multiplier=10),
)
