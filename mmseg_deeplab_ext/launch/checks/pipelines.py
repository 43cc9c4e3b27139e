"""Pipelines in which an image is turned, cropped or resized, and its labels are not.

In training both must change together. In an evaluation they need not: MMSegmentation brings
predictions back to the size of the file, and flips them back, so that its own test pipelines load
the labels after `Resize`; crops, rotations and padding are never undone.
"""

from __future__ import annotations

import re
from typing import Any, Iterator, Mapping

from mmseg_deeplab_ext.config_view import ConfigView, DatasetView, pipeline_steps, step_name
from mmseg_deeplab_ext.launch.checked_loading import transform_class
from mmseg_deeplab_ext.wording import listed

_RESIZES = {
    *("Resize", "RandomResize", "RandomChoiceResize", "ResizeToMultiple", "ResizeShortestEdge"),
    "ResizeToRange",
}
_FLIPS = {"RandomFlip"}
_NEVER_UNDONE = {
    *("CenterCrop", "Pad", "RandomCrop", "RandomMosaic", "RandomRotFlip", "RandomRotate"),
    *("RandomScaleCrop", "BioMedical3DPad", "BioMedical3DRandomCrop", "BioMedical3DRandomFlip"),
}
_ALBUMENTATIONS = re.compile(
    "Affine|Crop|Distortion|Elastic|Flip|GridShuffle|MaxSize|PadIf|Perspective|RandomScale|Resize"
    "|Rotate|Transpose|^D4$"
)
_LABELS = "gt_seg_map"


def problems_of_pipelines(view: ConfigView) -> list[str]:
    """Find pipelines that compare an image, or its prediction, with labels of another geometry.

    Transforms are known by name, or by a class that they are made of; others are passed over.

    Returns:
        Lines of one message; each names the transforms, and the order or the key to change.
    """
    problems = (line for part in view.datasets for line in _problems(part))
    return list(dict.fromkeys(problems))


def _problems(part: DatasetView) -> Iterator[str]:
    steps = list(_walk(part.config.get("pipeline")))
    loads = [place for place, (step, _) in enumerate(steps) if _loads_labels(step)]
    if not loads:
        return
    where, training = f"{part.split}_dataloader ({part})", part.split == "train"
    changing = [
        (place, step_name(step), reaches)
        for place, (step, reaches) in enumerate(steps)
        if _changes_geometry(step, training=training)
    ]
    early = [name for place, name, reaches in changing if reaches and place < loads[-1]]
    loader = step_name(steps[loads[-1]][0])
    if early:
        yield (
            f"{where}: {listed(early)} before {loader} changes the image and not its labels"
            f"{'' if training else ', and predictions are not brought back from that'}: put "
            f"{loader} right after the step that loads the image."
        )
    alone = [name for _, name, reaches in changing if not reaches]
    if alone:
        yield (
            f"{where}: {listed(alone)} changes the image and not its labels, since the keys that "
            f"are mapped there lack {_LABELS}: add it."
        )
    late = [step for step, _ in steps[loads[-1] :] if step.get("prob") != 0]
    flips = [step_name(step) for step in late if _is(step, _FLIPS)]
    if flips and not training and not any(_is(step, {"TestTimeAug"}) for step, _ in steps):
        yield (
            f"{where}: {listed(flips)} after {loader} flips image and labels, but predictions are "
            f"flipped back before they are compared: leave it out, or put it before {loader}."
        )


def _walk(pipeline: Any, *, reaches: bool = True) -> Iterator[tuple[Mapping[str, Any], bool]]:
    """Yield (transform, whether labels that are loaded pass through it), in the order they run."""
    if isinstance(pipeline, (list, tuple)):
        for step in pipeline:
            yield from _walk(step, reaches=reaches)
    elif isinstance(pipeline, Mapping):
        mapping = pipeline.get("keymap") or pipeline.get("mapping")
        reaches = reaches and (not mapping or _LABELS in mapping)
        if "type" in pipeline:
            yield pipeline, reaches
        if "type" not in pipeline or not _is(
            pipeline, {"Albu"}
        ):  # whose transforms are none of MMEngine's
            yield from _walk(pipeline.get("transforms"), reaches=reaches)


def _loads_labels(step: Mapping[str, Any]) -> bool:
    return "Load" in step_name(step) and "Annotation" in step_name(step)


def _changes_geometry(step: Mapping[str, Any], *, training: bool) -> bool:
    if step.get("prob") == 0:
        return False
    if _is(step, {"Albu"}):
        inner = pipeline_steps(step.get("transforms"))
        return any(_ALBUMENTATIONS.search(step_name(transform)) for transform in inner)
    undone = _RESIZES | _FLIPS
    # `as_original`: the prediction stays at the new size.
    return _is(step, _NEVER_UNDONE) or (
        (training or bool(step.get("as_original"))) and _is(step, undone)
    )


def _is(step: Mapping[str, Any], names: set[str]) -> bool:
    """Whether a transform has one of the names, or is made of a class that has."""
    kind = transform_class(step["type"])
    bases = {base.__name__ for base in kind.__mro__} if isinstance(kind, type) else set()
    return not names.isdisjoint({step_name(step), *bases})
