"""What the config's evaluation does besides the network, and whether the file does it, too."""

from __future__ import annotations

import copy
from typing import Iterator

from mmengine.config import Config

from mmseg_deeplab_ext.datasets.config_walk import pipeline_steps, step_name
from mmseg_deeplab_ext.engine.notes import config_notes
from mmseg_deeplab_ext.layers.resize_range import ResizeRange
from mmseg_deeplab_ext.prediction.preparation import test_pipeline

_RESIZE = "ResizeToRange"
_SILENT = {"PackSegInputs", _RESIZE}
"""Steps that change no pixel, and the one that the file may do."""


def configured_resize(cfg: Config) -> ResizeRange | None:
    """How the config's test pipeline resizes images, if it does so as TensorFlow."""
    for step in pipeline_steps(test_pipeline(cfg)):
        if step_name(step) == _RESIZE:
            return ResizeRange(step["scale"], step.get("max_size"), step.get("factor"))
    return None


def export_notes(
    cfg: Config, *, crop_size: tuple[int, int] | None, resize: ResizeRange | None
) -> list[str]:
    """What to tell of a config whose segmentor is exported.

    Args:
        cfg: A whole config.
        crop_size: The size that the file pads to, if any.
        resize: How the file resizes, if it does.

    Returns:
        What the file does not do as the evaluation, and what is seldom meant
        (:func:`mmseg_deeplab_ext.engine.notes.config_notes`) of the crop in use.
    """
    used = copy.deepcopy(cfg)
    used.merge_from_dict({"model.data_preprocessor.test_cfg": {"size": crop_size}})
    return [*_differences(cfg, resize), *config_notes(used, training=False)]


def _differences(cfg: Config, resize: ResizeRange | None) -> Iterator[str]:
    if (cfg.model.get("test_cfg") or {}).get("mode") == "slide":
        yield "the config predicts from sliding windows, the file from whole images"
    configured = configured_resize(cfg)
    if resize is not None and configured not in (None, resize):
        yield f"the config's test pipeline resizes otherwise: {configured}"
    steps = [step_name(step) for step in pipeline_steps(test_pipeline(cfg))]
    left_out = [name for name in steps if not name.startswith("Load") and name not in _SILENT]
    if configured is not None and resize is None:
        left_out.insert(0, _RESIZE)
    if left_out:
        yield (
            "the file does not do what the config's test pipeline does besides: "
            f"{', '.join(left_out)}"
        )
