"""Options and keys of a config file that would have no effect."""

from __future__ import annotations

import difflib
import inspect
from typing import Any, Iterator, Mapping

from mmengine.config import Config
from mmengine.runner import Runner

from mmseg_deeplab_ext.config_view import ConfigView
from mmseg_deeplab_ext.engine.batch_size import KEY as GLOBAL_BATCH_SIZE
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.wording import listed

# Read from the config by the Runner, besides its parameters, and by this package's tools.
_MORE_KEYS = (
    "activation_checkpointing",
    "compile",
    "custom_imports",
    "efficient_conv_bn_eval",
    "find_unused_parameters",
    "model_wrapper_cfg",
    "runner_type",
    "sync_bn",
    "tta_model",
    "tta_pipeline",
    GLOBAL_BATCH_SIZE,
)
_TEST_CFG_KEYS = ("mode", "crop_size", "stride")
"""What MMSegmentation's EncoderDecoder reads of ``model.test_cfg``."""
_PARAMWISE_KEYS = (
    *("base_lr", "bias_decay_mult", "bias_lr_mult", "bypass_duplicate", "custom_keys"),
    *("dcn_offset_lr_mult", "dwconv_decay_mult", "flat_decay_mult", "norm_decay_mult"),
    *("last_layer_gradient_multiplier", "last_layers_contain_logits_only"),
)
"""What the constructors of MMEngine and of this package read of ``paramwise_cfg``."""
_ALIKE = 0.85


def check_options(options: Mapping[str, Any], cfg: Config) -> None:
    """Refuse ``--cfg-options`` that nothing will read.

    Those are unknown first keys, and variables of the config file: their values were used while
    it was read. Deeper keys need no check: the class that gets an argument it doesn't know raises.
    """
    read = _read_keys()
    for option in options:
        key = option.partition(".")[0]
        if key in read:
            continue
        if key in cfg:
            raise ConfigError(_used_up(option, key=key, cfg=cfg, read=read))
        close = difflib.get_close_matches(key, read, n=1)
        raise ConfigError(
            f"--cfg-options {option}: neither {cfg.filename} nor MMEngine's Runner has a key "
            f"{key!r}. "
            + (f"Did you mean {close[0]!r}? " if close else "")
            + "(A key of your own goes into the config file.)"
        )


def notes_on_keys(view: ConfigView) -> list[str]:
    """Find keys of a config file that nothing reads, beside one that is read and looks alike.

    A config file may have variables of its own, so this is no more than a suspicion.
    """
    dicts = {key: value for key, value in view.config.items() if isinstance(value, dict)}
    wrapper = view.config.get("optim_wrapper") or {}
    places = {
        "": (dicts, _read_keys()),
        "model.test_cfg.": (view.model.get("test_cfg") or {}, _TEST_CFG_KEYS),
        "optim_wrapper.paramwise_cfg.": (wrapper.get("paramwise_cfg") or {}, _PARAMWISE_KEYS),
    }
    notes = []
    for place, (found, read) in places.items():
        for key in found.keys() - set(read):
            for close in difflib.get_close_matches(key, read, n=1, cutoff=_ALIKE):
                notes.append(f"{place}{key} in the config is read by nothing: is it {close}?")
    return sorted(notes)


def _read_keys() -> set[str]:
    return {*inspect.signature(Runner.__init__).parameters, *_MORE_KEYS}


def _used_up(option: str, *, key: str, cfg: Config, read: set[str]) -> str:
    places = [
        place
        for name in cfg
        if name in read
        for place in _places_of(cfg[key], value=cfg[name], name=name)
    ]
    return (
        f"--cfg-options {option}: {key!r} is a variable of the config file; its value was used "
        "when the file was read, and setting it now changes nothing. Set "
        + (
            f"what holds the same value: {listed(places, most=4)}."
            if places
            else "the keys that were made from it, such as train_cfg.max_iters or "
            "train_dataloader.dataset.data_root, or change the file."
        )
    )


def _places_of(wanted: Any, *, value: Any, name: str) -> Iterator[str]:
    """Dotted keys, at or below ``name``, with the wanted value."""
    if type(value) is type(wanted) and value == wanted:
        yield name
    elif isinstance(value, Mapping):
        for key in value:
            yield from _places_of(wanted, value=value[key], name=f"{name}.{key}")
    elif isinstance(value, (list, tuple)):
        for position, part in enumerate(value):
            yield from _places_of(wanted, value=part, name=f"{name}.{position}")
