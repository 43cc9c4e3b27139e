"""How images larger than the network's crop are predicted: whole, through a window, or shrunk."""

from __future__ import annotations

from mmengine.config import Config

from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.inference.config import network_size

MODES = ("whole", "slide", "resize")

_STRIDE = 2 / 3
"""Step of the sliding window in crops, as in MMSegmentation's own configs (341 of 512)."""


def use_mode(cfg: Config, mode: str | None) -> str:
    """Set how large images are predicted, in place; ``crop_of`` then tells the crop in use.

    Args:
        cfg: A whole config.
        mode: ``whole``: at their size. ``slide``: through a window of the crop's size, by
            MMSegmentation's ``slide_inference``; the window moves by ``test_cfg.stride``, by
            default two thirds of the crop. ``resize``: shrunk to fit the crop, and the logits
            brought back to the size of the image. None: as the config's ``test_cfg`` says.
            Where a mode needs a crop and the config predicts with none, it is the training's.

    Returns:
        The mode; for None the config's.

    Raises:
        ConfigError: There is no such mode, or it needs a crop and the config names none.
    """
    test_cfg = dict(cfg.model.get("test_cfg") or {})
    mode = mode or test_cfg.get("mode", "whole")
    if mode not in MODES:
        raise ConfigError(f"Unknown mode {mode!r}; there are {', '.join(MODES)}.")
    crop = network_size(cfg)
    if crop is None and mode != "whole":
        raise ConfigError(
            f"--mode {mode} needs to know the network's crop, which the config does not name. Add "
            '`--cfg-options model.test_cfg.crop_size="(513,513)"`.'
        )
    test_cfg["mode"] = "slide" if mode == "slide" else "whole"
    if mode == "whole":
        test_cfg.pop("crop_size", None)  # of a window; nothing is cropped
    else:
        test_cfg["crop_size"] = crop
    if mode == "slide":
        test_cfg.setdefault("stride", tuple(max(int(side * _STRIDE), 1) for side in crop or ()))
    cfg.model.test_cfg = test_cfg
    return mode
