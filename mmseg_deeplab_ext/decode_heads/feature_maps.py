"""What decode heads take from a backbone."""

from __future__ import annotations

from torch import Tensor

from mmseg_deeplab_ext.errors import ConfigError


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
