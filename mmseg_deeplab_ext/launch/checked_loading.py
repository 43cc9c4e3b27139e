"""Put the checked loading transforms in the place of the stock ones, in a data loader's config.

Config files name the stock transforms, because MMSegmentation's inference functions look for
those names in the test pipeline.
"""

from __future__ import annotations

import copy
from typing import Any, Mapping, Sequence

from mmcv.transforms import LoadImageFromFile
from mmseg.datasets.transforms import LoadAnnotations

from mmseg_deeplab_ext.config_view import class_names, leaf_datasets, pipeline_steps
from mmseg_deeplab_ext.registry import TRANSFORMS


def checked_loader(loader: Mapping[str, Any], *, ignore_index: int = 255) -> Mapping[str, Any]:
    """A copy of a data loader's config whose pipelines load through the checked transforms.

    Subclasses of the stock transforms and other types stay as they are, as do the labels of data
    sets whose classes are not known.
    """
    loader = copy.deepcopy(loader)
    for leaf in leaf_datasets(loader["dataset"]):
        # Data sets with other classes may share the list and its steps.
        pipeline = leaf.get("pipeline", [])
        leaf["pipeline"] = checked_steps(pipeline, class_names(leaf), ignore_index=ignore_index)
    return loader


def checked_steps(
    pipeline: Sequence[Any], classes: Sequence[str] | None = None, *, ignore_index: int = 255
) -> Any:
    """A copy of a pipeline's config that loads through the checked transforms.

    Args:
        pipeline: Configs of transforms.
        classes: Those of the labels; None leaves their loading as it is.
        ignore_index: Label value of pixels that do not count.
    """
    pipeline = copy.deepcopy(pipeline)
    for step in pipeline_steps(pipeline):
        kind = transform_class(step.get("type"))
        if kind is LoadImageFromFile:
            step["type"] = "mmseg_deeplab_ext.CheckedLoadImageFromFile"
        elif kind is LoadAnnotations and classes is not None:
            step["type"] = "mmseg_deeplab_ext.CheckedLoadAnnotations"
            step.update(num_classes=len(classes), ignore_index=ignore_index)
    return pipeline


def transform_class(kind: Any) -> Any:
    """The class that MMEngine will build: a name means the current default scope's."""
    if not isinstance(kind, str):
        return kind
    with TRANSFORMS.switch_scope_and_registry(None) as registry:
        return registry.get(kind)
