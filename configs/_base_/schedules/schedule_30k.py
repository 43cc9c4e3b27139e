"""The official VOC schedule: SGD, poly learning rate, 30,000 iterations of 16 images."""

# Images per iteration over all processes; tools/train.py gives each process its share.
global_batch_size = 16
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="SGD", lr=0.007, momentum=0.9, weight_decay=1e-4),
    # TensorFlow decays convolution kernels only (no batch norm, no bias, no depthwise kernel) and
    # doubles the gradients of biases.
    paramwise_cfg=dict(
        norm_decay_mult=0.0, bias_decay_mult=0.0, dwconv_decay_mult=0.0, bias_lr_mult=2.0
    ),
)
# MMEngine's PolyLR reaches eta_min one iteration before `end`, TensorFlow's at it: one more makes
# them equal at every iteration.
param_scheduler = [dict(type="PolyLR", power=0.9, eta_min=0.0, begin=0, end=30001, by_epoch=False)]
train_cfg = dict(type="IterBasedTrainLoop", max_iters=30000, val_interval=2000)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
