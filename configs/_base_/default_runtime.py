"""Runtime, logging and hooks of every config."""

default_scope = "mmseg"
env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0),
    dist_cfg=dict(backend="nccl"),
)
# Model files say plain BN. With several GPUs the statistics are shared between them, since 16
# images over 8 GPUs are few for each (TensorFlow does not share). tools/train.py drops it on CPU.
sync_bn = "torch"
vis_backends = [dict(type="LocalVisBackend")]
visualizer = dict(type="SegLocalVisualizer", vis_backends=vis_backends, name="visualizer")
log_processor = dict(by_epoch=False)
log_level = "INFO"
load_from = None
resume = False
default_hooks = dict(
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type="ParamSchedulerHook"),
    checkpoint=dict(
        type="CheckpointHook", by_epoch=False, interval=2000, max_keep_ckpts=3, save_best="mIoU"
    ),
    sampler_seed=dict(type="DistSamplerSeedHook"),
    # draw=True writes predictions of the validation images into the work directory.
    visualization=dict(type="SegVisualizationHook", draw=False, interval=50),
)
custom_hooks = [dict(type="mmseg_deeplab_ext.GlobalBatchSizeHook")]
