"""Fine-tune Google's best VOC model on train, batch norm frozen: stage 2 from Google's own stage 1.

python tools/train.py configs/deeplabv3plus_xception65_voc.py
tools/dist_train.sh configs/deeplabv3plus_xception65_voc.py 8
"""

_base_ = "./deeplabv3plus/deeplabv3plus_x65-d16_b16-30k_voc12-513x513.py"

load_from = "tf-zoo://xception65_coco_voc_trainaug"  # 439 MB
# TensorFlow: --fine_tune_batch_norm=False.
custom_hooks = [
    dict(type="mmseg_deeplab_ext.GlobalBatchSizeHook"),
    dict(type="mmseg_deeplab_ext.FreezeBatchNormHook"),
]
# The rate that deeplab/train.py names for fine-tuning.
optim_wrapper = dict(optimizer=dict(lr=1e-4))
