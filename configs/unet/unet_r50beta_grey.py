"""U-Net with ResNet-50-beta on large grey images with two classes: patches and a sliding window.

The files that it takes are described in configs/_base_/datasets/two_classes_grey.py.

python tools/train.py configs/unet/unet_r50beta_grey.py
"""

_base_ = [
    "../_base_/models/unet_r50beta.py",
    "../_base_/datasets/two_classes_grey.py",
    "../_base_/schedules/schedule_30k.py",
    "../_base_/default_runtime.py",
]

model = dict(
    data_preprocessor=dict(size=(513, 513)),
    decode_head=dict(num_classes=2),
    # Neighbouring windows share a quarter of their width.
    test_cfg=dict(mode="slide", crop_size=(513, 513), stride=(385, 385)),
)
global_batch_size = 8
