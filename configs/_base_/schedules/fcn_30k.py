"""FCN's first paper: SGD at a fixed rate on 20 images, biases at twice the rate."""

_base_ = "./schedule_30k.py"

global_batch_size = 20
optim_wrapper = dict(
    optimizer=dict(lr=1e-4, weight_decay=5e-4),
    paramwise_cfg=dict(bias_decay_mult=0.0, bias_lr_mult=2.0),
)
param_scheduler = []
