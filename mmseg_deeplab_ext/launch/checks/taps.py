"""Heads and the features of the backbone that they take."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Iterator, Mapping

from mmseg.models.decode_heads.decode_head import BaseDecodeHead

from mmseg_deeplab_ext.config_values import is_whole
from mmseg_deeplab_ext.config_view import ConfigView, class_in, is_known, our_model
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.registry import MODELS
from mmseg_deeplab_ext.specs import BACKBONES
from mmseg_deeplab_ext.specs.backbone import FINAL_OUTPUT, BackboneSpec
from mmseg_deeplab_ext.specs.deeplab_head import HeadSpec

_FAMILIES = {family.module: family for family in BACKBONES}
_INDICES = {"in": -1, "c1_in": 0}
"""Which feature: in front of ``_index`` and ``_channels`` in a head's config -> default index."""


@dataclass(frozen=True)
class _Features:
    """What one of our backbones returns, as its config says.

    Attributes:
        family: the specs of its class.
        num_taps: how many of its features a decoder can take.
        widths: their channels and those of the final one; none where the class refuses the config.
        output_stride: of the final one.
    """

    family: type[BackboneSpec]
    num_taps: int
    widths: tuple[int, ...]
    output_stride: Any

    @classmethod
    def of(cls, backbone: Any) -> _Features | None:
        """None if it is a backbone of somebody else's."""
        family = _FAMILIES.get(getattr(our_model(backbone), "__name__", ""))
        if family is None:
            return None
        outputs = (*range(len(family.published()[0].taps)), FINAL_OUTPUT)
        returned = backbone.get("out_indices", outputs)
        if not isinstance(returned, (list, tuple)):
            return None  # which the class refuses
        return cls(
            family,
            sum(index != FINAL_OUTPUT for index in returned),
            _widths(family, backbone, returned),
            backbone.get("output_stride", family.default_output_stride),
        )


def _widths(family: type[BackboneSpec], backbone: Any, returned: Any) -> tuple[int, ...]:
    keys = {field.name for field in fields(family)} & set(backbone)
    try:
        spec = family(**{key: backbone[key] for key in keys})
        widths = {**dict(enumerate(t.channels for t in spec.taps)), FINAL_OUTPUT: spec.channels}
        return tuple(widths[index] for index in returned)
    except (ConfigError, TypeError, KeyError):
        return ()


def problems_of_taps(view: ConfigView) -> list[str]:
    """Find heads that take a feature which the backbone, one of ours, does not return so.

    It returns none there, one of other channels, or one of another output stride than a dense
    prediction cell is told. What a neck makes of the features is not known.
    """
    features = _Features.of(view.model.get("backbone"))
    if features is None or view.model.get("neck"):
        return []
    return [
        problem for key, head in view.heads for problem in _problems_of_head(key, head, features)
    ]


def _problems_of_head(key: str, head: Mapping[str, Any], features: _Features) -> Iterator[str]:
    kind = class_in(MODELS, head)
    if getattr(our_model(head), "__name__", None) == HeadSpec.module:
        missing = list(_missing_taps(key, head, features))
        yield from missing
        yield from _cell_of_another_stride(key, head, features)
        taken = ["in"] if missing or not head.get("c1_in_channels") else ["in", "c1_in"]
    elif is_known(kind) and isinstance(kind, type) and issubclass(kind, BaseDecodeHead):
        taken = ["in"]
    else:
        return
    for which in taken:
        yield from _other_widths(key, head, features, which)


def _missing_taps(key: str, head: Mapping[str, Any], features: _Features) -> Iterator[str]:
    if not head.get("c1_in_channels"):
        return
    name, index = features.family.module, head.get("c1_in_index", 0)
    if not features.family.published()[0].taps:
        yield (
            f"{key}.c1_in_channels={head['c1_in_channels']!r} asks for a decoder, but {name} "
            "has no feature that one could take, in TensorFlow neither: leave the key out"
        )
    elif any(is_whole(each, minimum=features.num_taps) for each in _as_list(index)):
        yield (
            f"{key}.c1_in_index={index!r}, but what a decoder can take of {name}'s feature "
            f"maps are the first {features.num_taps}, numbered from 0"
        )


def _other_widths(
    key: str, head: Mapping[str, Any], features: _Features, which: str
) -> Iterator[str]:
    index = head.get(f"{which}_index", _INDICES[which])
    channels = head.get(f"{which}_channels")
    places, given, widths = _as_list(index), _as_list(channels), features.widths
    given = given * len(places) if len(given) == 1 else given
    there = all(isinstance(place, int) and -len(widths) <= place < len(widths) for place in places)
    if channels is None or not there or len(given) != len(places):
        return  # which the class refuses
    wanted = [widths[place] for place in places]
    if given != wanted:
        yield (
            f"{key}.{which}_channels={channels!r}, but {features.family.module}'s features at "
            f"{which}_index={index!r} have {', '.join(map(str, wanted))} channels"
        )


def _cell_of_another_stride(
    key: str, head: Mapping[str, Any], features: _Features
) -> Iterator[str]:
    stride = head.get("output_stride", 16)
    if head.get("dense_prediction_cell") and stride != features.output_stride:
        yield (
            f"{key}.output_stride={stride}, but model.backbone.output_stride="
            f"{features.output_stride}: a dense_prediction_cell takes its rates from it, so give "
            "both the same (16, 8 or 4)"
        )


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]
