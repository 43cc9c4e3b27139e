"""A segmentor with its weights, complete: what does not fit is an error, not a line in a log."""

from __future__ import annotations

from typing import Any, Mapping

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.model import revert_sync_batchnorm
from mmseg.apis import init_model
from torch import nn

from mmseg_deeplab_ext.config_view import dataset_class, leaf_datasets
from mmseg_deeplab_ext.conversion.addresses import is_address
from mmseg_deeplab_ext.conversion.dataset_meta import class_names_and_colours
from mmseg_deeplab_ext.conversion.pth import load_pth, state_dict_of
from mmseg_deeplab_ext.conversion.weights import demand_weights
from mmseg_deeplab_ext.datasets.label_png import voc_colormap
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.specs.network import network_of_model


def load_network(
    cfg: Config, checkpoint: str, *, device: str | None = None
) -> tuple[nn.Module, np.ndarray]:
    """Build a config's segmentor and load weights into all of it.

    Args:
        cfg: A whole config; changed in place, as ``mmseg.apis.init_model`` does.
        checkpoint: A ``.pth``, or an address such as ``tf://PATH`` or ``tf-zoo://NAME``.
        device: As PyTorch names it; by default the GPU if there is one, else the CPU.

    Returns:
        The segmentor, ready to predict, and the colours of its classes, (256, 3), uint8.

    Raises:
        ConfigError: The device is not there, or there are more classes than a label map holds.
        CheckpointError: The checkpoint can't be read, or does not fit the segmentor.
    """
    place = _device(device)
    loaded = load_pth(checkpoint)
    model = init_model(cfg, None, device="cpu")
    classes = max(model.num_classes, 2)
    if classes > 256:
        raise ConfigError(f"The model has {classes} classes; a label map of 8 bits holds 256.")
    _take_weights(model, loaded, checkpoint=checkpoint)
    model = revert_sync_batchnorm(model).to(place).eval()
    return model, _colours(cfg, loaded.get("meta") or {}, num_classes=classes)


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


def _take_weights(model: nn.Module, loaded: Mapping[str, Any], *, checkpoint: str) -> None:
    """Load all weights that a prediction needs, or raise a ``CheckpointError``."""
    state_dict = state_dict_of(loaded, source=checkpoint)
    if is_address(checkpoint):
        # Networks of ours compare TensorFlow's weights with themselves, and name the config
        # keys to change; others can't take any.
        network_of_model(model)
        model.load_state_dict(state_dict, strict=False)
    demand_weights(state_dict, model.state_dict(), source=checkpoint)
    model.load_state_dict(state_dict, strict=False)


def _colours(cfg: Config, meta: Mapping[str, Any], *, num_classes: int) -> np.ndarray:
    """Colours of all 256 values: the checkpoint's, or the test data set's, or the number's usual.

    Palettes for another number of classes are passed over.
    """
    known = [
        (meta.get("dataset_meta") or {}).get("palette"),
        meta.get("PALETTE"),  # MMSegmentation 0.x
        _palette_of_data_set(cfg),
        class_names_and_colours(num_classes)["palette"],
    ]
    colours = voc_colormap()
    colours[:num_classes] = next(each for each in known if each and len(each) == num_classes)
    return colours


def _palette_of_data_set(cfg: Config) -> Any:
    loader = cfg.get("test_dataloader")
    if not loader:
        return None
    leaf = next(leaf_datasets(loader["dataset"]))
    declared = (leaf.get("metainfo") or {}).get("palette")
    return declared or getattr(dataset_class(leaf), "METAINFO", {}).get("palette")
