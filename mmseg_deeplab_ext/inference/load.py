"""A segmentor with its weights, complete: what does not fit is an error, not a line in a log."""

from __future__ import annotations

from typing import Any, Mapping

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.model import revert_sync_batchnorm
from mmseg.apis import init_model
from torch import nn

from mmseg_deeplab_ext.building import building
from mmseg_deeplab_ext.conversion.addresses import is_address
from mmseg_deeplab_ext.conversion.pth import load_pth, state_dict_of
from mmseg_deeplab_ext.conversion.weights import demand_weights
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.specs.network import network_of_model


def load_segmentor(
    cfg: Config, checkpoint: str, *, device: str | None = None
) -> tuple[nn.Module, Mapping[str, Any]]:
    """Build a config's segmentor and load weights into all of it.

    Args:
        cfg: A whole config; changed in place, as ``mmseg.apis.init_model`` does.
        checkpoint: A ``.pth``, or an address such as ``tf://PATH`` or ``tf-zoo://NAME``.
        device: As PyTorch names it; by default the GPU if there is one, else the CPU.

    Returns:
        The segmentor, ready to predict, and the checkpoint's ``meta``, which may be empty.
    """
    place = _device(device)
    loaded = load_pth(checkpoint)
    with building("model"):
        model = init_model(cfg, None, device="cpu")
    state_dict = state_dict_of(loaded, source=checkpoint)
    if is_address(checkpoint):
        # Networks of ours compare TensorFlow's weights with themselves, and name the config
        # keys to change; others can't take any.
        network_of_model(model)
        model.load_state_dict(state_dict, strict=False)
    demand_weights(state_dict, model.state_dict(), source=checkpoint)
    model.load_state_dict(state_dict, strict=False)
    model = revert_sync_batchnorm(model).to(place).eval()
    return model, loaded.get("meta") or {}


def _device(name: str | None) -> torch.device:
    try:
        device = torch.device(name or get_device())
    except RuntimeError as error:
        raise ConfigError(f"--device {name}: {error}") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"--device {name}: PyTorch {torch.__version__} sees {torch.cuda.device_count()} GPUs "
            "here. Choose another device, or `--device cpu`."
        )
    return device
