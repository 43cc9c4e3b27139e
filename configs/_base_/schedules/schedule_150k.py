"""The official ADE20K schedule: as for VOC, 150,000 iterations."""

_base_ = "./schedule_30k.py"

param_scheduler = [dict(type="PolyLR", power=0.9, eta_min=0.0, begin=0, end=150001, by_epoch=False)]
train_cfg = dict(max_iters=150000, val_interval=10000)
