"""What decode heads take from a backbone."""

from __future__ import annotations

from typing import Any, Sequence

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor

from mmseg_deeplab_ext.errors import ConfigError


def map_indices(in_index: Any, in_channels: Sequence[int]) -> tuple[int, ...]:
    """Check which feature maps a head that takes several asks for.

    Args:
        in_index: what the config says: a number for each map, from the end if it is negative; the
            first maps if None.
        in_channels: of the maps.

    Raises:
        ConfigError: it is anything else.
    """
    count = len(in_channels)
    if in_index is None:
        return tuple(range(count))
    numbers = in_index if isinstance(in_index, (list, tuple)) else ()
    if len(numbers) != count or any(type(each) is not int for each in numbers):
        raise ConfigError(
            f"in_index={in_index!r} must be {count} whole numbers, one for each of "
            f"in_channels={tuple(in_channels)}"
        )
    return tuple(numbers)


def pick_all(inputs: tuple[Tensor, ...], head: BaseDecodeHead) -> list[Tensor]:
    """The feature maps of a head's ``in_index``, if they have its ``in_channels``.

    Raises:
        ConfigError: the backbone has no such map, or one of other channels.
    """
    maps = zip(head.in_index, head.in_channels)
    return [pick(inputs, "in_index", index, channels=channels) for index, channels in maps]


def pick(inputs: tuple[Tensor, ...], key: str, index: int, *, channels: int) -> Tensor:
    """One of the backbone's feature maps, if it is there and has the configured channels.

    Args:
        inputs: the backbone's feature maps.
        key: of the config, which says the index.
        index: of the map.
        channels: that it has to have.

    Raises:
        ConfigError: there is no such map, or it has other channels.
    """
    if not -len(inputs) <= index < len(inputs):
        raise ConfigError(
            f"{key}={index}, but the backbone returns {len(inputs)} feature maps (its out_indices)"
        )
    if inputs[index].shape[1] != channels:
        raise ConfigError(
            f"{key.replace('index', 'channels')}={channels}, but the backbone's map {index} "
            f"has {inputs[index].shape[1]} channels"
        )
    return inputs[index]
