"""Decoders and the features of the backbone that they take."""

from __future__ import annotations

from mmseg_deeplab_ext.config_values import is_whole
from mmseg_deeplab_ext.config_view import ConfigView, our_model
from mmseg_deeplab_ext.specs import BACKBONES
from mmseg_deeplab_ext.specs.backbone import FINAL_OUTPUT
from mmseg_deeplab_ext.specs.deeplab_head import HeadSpec

_TAPS = {family.module: len(family.published()[0].taps) for family in BACKBONES}
"""Class -> number of its features that a decoder can take."""


def problems_of_taps(view: ConfigView) -> list[str]:
    """Find decoders that take a feature which the backbone, one of ours, does not return."""
    backbone = view.model.get("backbone")
    name = getattr(our_model(backbone), "__name__", None)
    if name not in _TAPS:
        return []
    returned = backbone.get("out_indices", range(_TAPS[name]))
    if not isinstance(returned, (list, tuple, range)):
        return []  # which the class refuses
    taps = [index for index in returned if index != FINAL_OUTPUT]
    problems = []
    for key, head in view.heads:
        kind = getattr(our_model(head), "__name__", None)
        if kind != HeadSpec.module or not head.get("c1_in_channels"):
            continue
        index = head.get("c1_in_index", 0)
        indices = index if isinstance(index, (list, tuple)) else [index]
        if not _TAPS[name]:
            problems.append(
                f"{key}.c1_in_channels={head['c1_in_channels']!r} asks for a decoder, but {name} "
                "has no feature that one could take, in TensorFlow neither: leave the key out"
            )
        elif any(is_whole(each, minimum=len(taps)) for each in indices):
            problems.append(
                f"{key}.c1_in_index={index!r}, but what a decoder can take of {name}'s feature "
                f"maps are the first {len(taps)}, numbered from 0"
            )
    return problems
