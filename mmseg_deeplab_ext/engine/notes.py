"""What a run says about its config: allowed, but seldom meant."""

from __future__ import annotations

import inspect
from typing import Any, Iterator, Mapping, Sequence

from mmseg_deeplab_ext.arch import official_rates
from mmseg_deeplab_ext.datasets.config_walk import datasets_of, pipeline_steps, step_name
from mmseg_deeplab_ext.registry import MODELS, SCOPE

_OUTPUT_STRIDES = (8, 16, 32)


def config_notes(cfg: Mapping[str, Any], *, training: bool) -> list[str]:
    """Look for settings that TensorFlow's DeepLab would run too, with worse results.

    Args:
        cfg: A whole config; the model may be wrapped (``module``).
        training: Whether the run trains; else only what evaluation uses is looked at.

    Returns:
        Sentences for the log.
    """
    model = cfg.get("model") or {}
    while "module" in model:
        model = model["module"]
    notes = list(_crops_unlike_the_batches(cfg, model)) if training else []
    output_stride = _setting(model.get("backbone"), "output_stride")
    if output_stride is None:  # a backbone of somebody else's
        return notes
    return [
        *notes,
        *_rates_of_another_stride(model, output_stride),
        *_sizes_off_the_grid(model, output_stride, training=training),
    ]


def _setting(part: Any, key: str) -> Any:
    """What a part's config says, or else the default of its class, if that is one of ours."""
    if not isinstance(part, Mapping):
        return None
    kind = part.get("type")
    if isinstance(kind, str):
        kind = MODELS.get(kind) if kind.startswith(f"{SCOPE}.") else None
    ours = getattr(kind, "__module__", "").startswith(f"{SCOPE}.")
    default = inspect.signature(kind).parameters[key].default if ours else None
    return part.get(key, default)


def _crops_unlike_the_batches(cfg: Mapping[str, Any], model: Mapping[str, Any]) -> Iterator[str]:
    size = (model.get("data_preprocessor") or {}).get("size")
    crops = {
        tuple(step["crop_size"])
        for _, leaf in datasets_of(cfg, ["train"])
        for step in pipeline_steps(leaf.get("pipeline"))
        if step_name(step) == "RandomScaleCrop"
    }
    if isinstance(size, Sequence):
        for crop in sorted(crops - {tuple(size)}):
            yield (
                f"RandomScaleCrop makes crops of {crop}, but "
                f"model.data_preprocessor.size={tuple(size)} is what batches are padded to: give "
                "both the same size, or the network trains on padding, or on crops of another size "
                "than is said there."
            )


def _rates_of_another_stride(model: Mapping[str, Any], output_stride: int) -> Iterator[str]:
    head = model.get("decode_head")
    rates = tuple(_setting(head, "dilations") or ())[1:]
    for stride in _OUTPUT_STRIDES:
        if rates and stride != output_stride and rates == official_rates(stride, len(rates)):
            wanted = (1, *official_rates(output_stride, len(rates)))
            yield (
                f"model.decode_head.dilations={(1, *rates)} are the rates for output stride "
                f"{stride}, but model.backbone.output_stride={output_stride}: the recipe for "
                f"that is dilations={wanted}, also for weights trained at {stride}."
            )


def _sizes_off_the_grid(
    model: Mapping[str, Any], output_stride: int, *, training: bool
) -> Iterator[str]:
    preprocessor = model.get("data_preprocessor") or {}
    sizes = {"test_cfg.size": (preprocessor.get("test_cfg") or {}).get("size")}
    if training:
        sizes["size"] = preprocessor.get("size")
    for key, size in sizes.items():
        if isinstance(size, Sequence) and any((side - 1) % output_stride for side in size):
            # Upwards: a smaller size might be smaller than the images.
            wanted = tuple(-(-(side - 1) // output_stride) * output_stride + 1 for side in size)
            yield (
                f"model.data_preprocessor.{key}={tuple(size)} is not k * {output_stride} + 1 "
                f"(output stride {output_stride}) in height and width: feature maps and image "
                f"have other corners. The next size that is: {wanted}."
            )
