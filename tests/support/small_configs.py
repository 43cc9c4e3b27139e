"""The shipped configs on small networks and images, for tests that run them."""

from mmengine.config import Config

CROP = (65, 65)


def shrink(value):
    """Make crops and sizes small, in place, wherever they are in a config."""
    if isinstance(value, list):
        for part in value:
            shrink(part)
    elif isinstance(value, dict):
        for key in ("crop_size", "size"):
            if key in value:
                value[key] = CROP
        if value.get("type") == "mmseg_deeplab_ext.ResizeToRange":
            value.update(scale=CROP[0], max_size=CROP[0])
        for part in value.values():
            shrink(part)


def shrunk(path):
    """A config, with what makes it slow replaced."""
    cfg = Config.fromfile(path)
    shrink(cfg._cfg_dict)
    if "Xception" in cfg.model.backbone.type:
        cfg.model.backbone.pop("depth")
        cfg.model.backbone.type = "mmseg_deeplab_ext.MobileNetV2"
        cfg.model.decode_head.update(dilations=(1,), c1_in_channels=0)
    if "MobileNetV2" in cfg.model.backbone.type:
        cfg.model.backbone.update(widen_factor=0.5)
        cfg.model.decode_head.update(in_channels=160)
    else:
        cfg.model.backbone.update(depth=18, multi_grid=(1, 2))
        bare = cfg.model.decode_head.type == "FCNHead"  # logits right from the backbone's map
        cfg.model.decode_head.update(in_channels=512, channels=512 if bare else 16)
        if cfg.model.decode_head.get("c1_in_channels"):
            cfg.model.decode_head.update(c1_in_channels=64)
    cfg.global_batch_size //= 4
    for split in ("train", "val", "test"):
        cfg[f"{split}_dataloader"].update(num_workers=0, persistent_workers=False)
    cfg.train_dataloader.batch_size //= 4
    cfg.optim_wrapper.optimizer.lr = 0.1  # so that one step shows in every float32 tensor
    passes = cfg.optim_wrapper.get("accumulative_counts", 1)
    cfg.train_cfg.update(max_iters=passes, val_interval=passes)
    cfg.default_hooks.checkpoint.update(interval=passes, save_best=None)
    return cfg
