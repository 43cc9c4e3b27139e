"""FCN-8s with VGG16 on PASCAL VOC 2012 with SBD, trained at once from ImageNet, one image a step.

Every number is of the authors' published code (voc-fcn8s-atonce): padding, scales, the sum of all
pixels' losses, momentum and rate. They belong to Caffe's VGG16, which sees BGR in 0 to 255.

python tools/train.py configs/fcn/fcn8s_vgg16_at-once_voc.py
"""

_base_ = "./fcn32s_vgg16_voc.py"

model = dict(
    data_preprocessor=dict(
        # BGR. Weights of Caffe's VGG16 that were made to see RGB want bgr_to_rgb=True, and the
        # means the other way round.
        mean=[104.00699, 116.66877, 122.67892],
        std=[1.0, 1.0, 1.0],
        bgr_to_rgb=False,
        size=None,
        size_divisor=1,  # every image as it is
        test_cfg=None,
    ),
    # Add init_cfg=dict(type="Pretrained", checkpoint="YOUR.pth") for Caffe's weights under
    # torchvision's names.
    backbone=dict(padding=100, out_indices=(2, 3, 5), init_cfg=None),
    decode_head=dict(
        in_channels=(256, 512, 4096),
        padding=100,
        upsampling="frozen",
        skip_scales=(0.0001, 0.01),
        loss_decode=dict(_delete_=True, type="CrossEntropyLoss", reduction="sum"),
    ),
)
global_batch_size = 1
train_dataloader = dict(batch_size=1)
optim_wrapper = dict(optimizer=dict(lr=1e-10, momentum=0.99))
train_cfg = dict(max_iters=300000, val_interval=4000)
default_hooks = dict(checkpoint=dict(interval=4000))
