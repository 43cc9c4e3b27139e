"""The schedule of torchvision's reference on VOC's 1,464 training images: 30 epochs.

references/segmentation/train.py and README.md in github.com/pytorch/vision: 8 GPUs with 4 images
each, SGD, the auxiliary head at ten times the rate, (1 - iteration / iterations) ** 0.9.
"""

_base_ = "../default_runtime.py"

global_batch_size = 32
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="SGD", lr=0.02, momentum=0.9, weight_decay=1e-4),
    paramwise_cfg=dict(custom_keys=dict(auxiliary_head=dict(lr_mult=10.0))),
)
_iterations = 30 * (1464 // global_batch_size)
# MMEngine's PolyLR reaches eta_min one iteration before `end`: one more makes them equal.
param_scheduler = [
    dict(type="PolyLR", power=0.9, eta_min=0.0, begin=0, end=_iterations + 1, by_epoch=False)
]
_three_epochs = _iterations // 10
train_cfg = dict(type="IterBasedTrainLoop", max_iters=_iterations, val_interval=_three_epochs)
default_hooks = dict(checkpoint=dict(interval=_three_epochs))
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
