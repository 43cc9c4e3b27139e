"""Settings that depart from TensorFlow's recipe: allowed, but seldom meant."""

from __future__ import annotations

import inspect
from typing import Any, Iterator, Mapping

from mmseg_deeplab_ext.config_values import is_whole
from mmseg_deeplab_ext.config_view import ConfigView, our_model, step_name
from mmseg_deeplab_ext.specs import BACKBONES
from mmseg_deeplab_ext.specs.deeplab_head import official_rates

_SPECS = {family.module: family.published()[0] for family in BACKBONES}
"""Class -> one of its networks; what is asked of it here holds for all."""
_CROPS = ("RandomScaleCrop", "RandomCrop")


def config_notes(cfg: Mapping[str, Any], *, training: bool) -> list[str]:
    """Look for settings that TensorFlow's DeepLab would run too, with worse results.

    Values that are impossible are passed over: the classes they are for refuse them. Of what only
    a training uses, a config that is to predict is not asked. Returns sentences for the log.
    """
    return notes_on_recipe(ConfigView.of(cfg, splits=("train",) if training else ()))


def notes_on_recipe(view: ConfigView) -> list[str]:
    """:func:`config_notes` of a config that was walked already."""
    model, training = view.model, "train" in view.splits
    notes = list(_crops_unlike_the_batches(view)) if training else []
    notes += _input_of_other_weights(model)
    output_stride = _setting(model.get("backbone"), "output_stride")
    if not is_whole(output_stride, minimum=1):  # impossible, or a backbone without one
        return notes
    return [
        *notes,
        *_rates_of_another_stride(model, output_stride),
        *_window_of_another_stride(model, output_stride),
        *_sizes_off_the_grid(model, output_stride, training=training),
    ]


def _setting(part: Any, key: str) -> Any:
    """What a part's config says, or else the default of its class, if that is one of ours."""
    if not isinstance(part, Mapping):
        return None
    kind = our_model(part)
    parameter = inspect.signature(kind).parameters.get(key) if kind else None
    return part.get(key, parameter.default if parameter else None)


def _pair(size: Any) -> tuple[int, int] | None:
    """Height and width, if that is what it is."""
    good = isinstance(size, (list, tuple)) and len(size) == 2
    return tuple(size) if good and all(is_whole(side, minimum=1) for side in size) else None


def _crops_unlike_the_batches(view: ConfigView) -> Iterator[str]:
    size = _pair((view.model.get("data_preprocessor") or {}).get("size"))
    crops = {
        (step_name(step), _pair(step.get("crop_size")))
        for dataset in view.datasets
        if dataset.split == "train"
        for step in dataset.steps
        if step_name(step) in _CROPS
    }
    for name, crop in sorted(crops, key=str):
        if None not in (size, crop) and crop != size:
            yield (
                f"{name} makes crops of {crop}, but model.data_preprocessor.size={size} is what "
                "batches are padded to: give both the same size, or the network trains on "
                "padding, or on crops of another size than is said there."
            )


def _input_of_other_weights(model: Mapping[str, Any]) -> Iterator[str]:
    kind = our_model(model.get("backbone"))
    preprocessor = model.get("data_preprocessor")
    if kind is None or kind.__name__ not in _SPECS or not isinstance(preprocessor, Mapping):
        return
    made_of = _SPECS[kind.__name__].input
    wanted = dict(mean=list(made_of.mean), std=list(made_of.std), bgr_to_rgb=True)
    found = {key: preprocessor.get(key) for key in wanted}
    found = {key: list(v) if isinstance(v, tuple) else v for key, v in found.items()}
    if found != wanted:
        differing = {key: found[key] for key in wanted if found[key] != wanted[key]}
        yield (
            f"model.data_preprocessor has {_keys(differing)}; Google's weights of "
            f"{kind.__name__} are for {_keys({key: wanted[key] for key in differing})}."
        )


def _keys(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in values.items())


def _rates_of_another_stride(model: Mapping[str, Any], output_stride: int) -> Iterator[str]:
    head = model.get("decode_head")
    if _setting(head, "dense_prediction_cell"):  # it has rates of its own
        return
    dilations = _setting(head, "dilations")
    rates = tuple(dilations)[1:] if isinstance(dilations, (list, tuple)) else ()
    strides = {stride for spec in _SPECS.values() for stride in spec.output_strides}
    for stride in sorted(strides):
        if rates and stride != output_stride and rates == official_rates(stride, len(rates)):
            wanted = (1, *official_rates(output_stride, len(rates)))
            yield (
                f"model.decode_head.dilations={(1, *rates)} are the rates for output stride "
                f"{stride}, but model.backbone.output_stride={output_stride}: the recipe for "
                f"that is dilations={wanted}, also for weights trained at {stride}."
            )


def _window_of_another_stride(model: Mapping[str, Any], output_stride: int) -> Iterator[str]:
    window = _setting(model.get("decode_head"), "image_pooling")
    stride = window.get("output_stride") if isinstance(window, Mapping) else None
    if is_whole(stride, minimum=1) and stride != output_stride:
        yield (
            f"model.decode_head.image_pooling.output_stride={stride}, but "
            f"model.backbone.output_stride={output_stride}: the pooled window covers "
            f"{output_stride / stride:g} times the height and width that its crop_size says."
        )


def _sizes_off_the_grid(
    model: Mapping[str, Any], output_stride: int, *, training: bool
) -> Iterator[str]:
    preprocessor = model.get("data_preprocessor") or {}
    sizes = {
        "data_preprocessor.test_cfg.size": (preprocessor.get("test_cfg") or {}).get("size"),
        "test_cfg.crop_size": (model.get("test_cfg") or {}).get("crop_size"),
    }
    if training:
        sizes["data_preprocessor.size"] = preprocessor.get("size")
    for key, value in sizes.items():
        size = _pair(value)
        if size is not None and any((side - 1) % output_stride for side in size):
            # Upwards: a smaller size might be smaller than the images.
            wanted = tuple(-(-(side - 1) // output_stride) * output_stride + 1 for side in size)
            yield (
                f"model.{key}={size} is not k * {output_stride} + 1 "
                f"(output stride {output_stride}) in height and width: feature maps and image "
                f"have other corners. The next size that is: {wanted}."
            )
