"""Networks by the name that a config gives: MMSegmentation's, timm's, torchvision's, or any."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Mapping

from torch import nn

from mmseg_deeplab_ext.errors import ConfigError, EnvironmentNotReadyError
from mmseg_deeplab_ext.registry import MODELS

FORMS = (
    "'timm/NAME', 'torchvision/NAME', the dotted path of a function or class that returns a "
    "network, or the config of a backbone, dict(type=...)"
)


def build_network(network: Any, arguments: Mapping[str, Any] | None = None) -> nn.Module:
    """Build a network.

    Args:
        network: one of ``FORMS``.
        arguments: handed to what builds it, a config's excepted.

    Raises:
        ConfigError: there is no such network.
        EnvironmentNotReadyError: timm or torchvision is not installed, or broken.
    """
    arguments = dict(arguments or {})
    if isinstance(network, Mapping):
        if arguments:
            raise ConfigError("arguments: write them into the config that `network` is")
        return MODELS.build(dict(network))
    if not isinstance(network, str):
        raise ConfigError(f"network={network!r} must be {FORMS}")
    library, slash, name = network.partition("/")
    if slash and library in _LIBRARIES:
        return _LIBRARIES[library](name, arguments)
    return _by_path(network, arguments)


def _timm(name: str, arguments: dict) -> nn.Module:
    timm = _imported("timm")
    if not timm.is_model(name):
        raise ConfigError(f"timm has no network {name!r}: timm.list_models() lists them")
    return timm.create_model(name, **arguments)


def _torchvision(name: str, arguments: dict) -> nn.Module:
    models = _imported("torchvision.models")
    if name not in models.list_models():
        raise ConfigError(
            f"torchvision has no network {name!r}: torchvision.models.list_models() lists them"
        )
    return models.get_model(name, **arguments)


_LIBRARIES = {"timm": _timm, "torchvision": _torchvision}


def _imported(module: str) -> Any:
    try:
        return import_module(module)
    except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision for another torch
        raise EnvironmentNotReadyError(
            f"{module} can't be imported ({type(error).__name__}: {error}): install it for this "
            "torch"
        ) from error


def _by_path(path: str, arguments: dict) -> nn.Module:
    module, dot, name = path.rpartition(".")
    if not dot or not module.strip("."):
        raise ConfigError(f"network={path!r} must be {FORMS}")
    try:
        made = getattr(import_module(module), name)(**arguments)
    except (ImportError, AttributeError, TypeError) as error:
        raise ConfigError(f"network={path!r}: {error}. It must be {FORMS}") from error
    if not isinstance(made, nn.Module):
        raise ConfigError(f"network={path!r} returned {type(made).__name__}, no torch.nn.Module")
    return made
