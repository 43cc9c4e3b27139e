"""What the config's evaluation does besides the network, and whether the file does it, too."""

from __future__ import annotations

import copy
from typing import Any, Iterator, Mapping

from mmengine.config import Config

from mmseg_deeplab_ext.config_view import pipeline_steps, step_name
from mmseg_deeplab_ext.inference.config import padded_size, test_pipeline
from mmseg_deeplab_ext.launch.checks.recipe import config_notes
from mmseg_deeplab_ext.layers.resize_range import ResizeRange

_RESIZE = "ResizeToRange"
_SILENT = {"PackSegInputs", _RESIZE}
"""Steps that change no pixel, and the one that the file may do."""

_SIZE_KEY = "model.data_preprocessor.test_cfg.size"


def configured_resize(cfg: Config) -> ResizeRange | None:
    """How the config's test pipeline resizes images, if it does so as TensorFlow."""
    for step in pipeline_steps(test_pipeline(cfg)):
        if step_name(step) == _RESIZE:
            return ResizeRange(step["scale"], step.get("max_size"), step.get("factor"))
    return None


def export_notes(
    cfg: Config, *, crop_size: tuple[int, int] | None, resize: ResizeRange | None
) -> list[str]:
    """What the file does not do as the config's evaluation, and what is seldom meant of the crop.

    ``crop_size`` is what the file pads to, ``resize`` how it resizes; None where it does not.
    """
    used = copy.deepcopy(cfg)
    used.model.data_preprocessor.test_cfg = dict(size=crop_size)
    used.model.test_cfg = dict(mode="whole")
    notes = config_notes(used, training=False)
    if crop_size != padded_size(cfg):  # not the config's: it came as an argument
        notes = [note.replace(_SIZE_KEY, "crop_size") for note in notes]
    return [*_differences(cfg, crop_size=crop_size, resize=resize), *notes]


def _differences(
    cfg: Config, *, crop_size: tuple[int, int] | None, resize: ResizeRange | None
) -> Iterator[str]:
    evaluated = _padding(cfg.model.data_preprocessor.get("test_cfg") or {})
    written = _padding({"size": crop_size})
    if evaluated != written:
        yield f"the config's evaluation {evaluated}, the file {written}: some labels differ"
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


def _padding(test_cfg: Mapping[str, Any]) -> str:
    size, divisor = test_cfg.get("size"), test_cfg.get("size_divisor")
    if size is not None:
        return f"pads images to {size[0]} x {size[1]}"
    return "does not pad images" if divisor is None else f"pads images to multiples of {divisor}"
