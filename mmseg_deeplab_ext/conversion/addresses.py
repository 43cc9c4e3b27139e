"""``tf://`` and ``tf-zoo://`` as checkpoint schemes of MMEngine.

MMEngine's loader of a scheme sees an address and returns tensors; what they are put into is not
known here. ``origins.py`` finds out whether they fit. The registry of models names this module
among its locations, so that the schemes are there wherever a network of ours is.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import Any
from urllib.parse import parse_qsl

import torch
from mmengine.logging import print_log
from mmengine.runner import CheckpointLoader

from mmseg_deeplab_ext.checkpoints.reader import Checkpoint, open_checkpoint
from mmseg_deeplab_ext.checkpoints.zoo_table import SCHEME as ZOO_SCHEME
from mmseg_deeplab_ext.conversion.dataset_meta import checkpoint_meta
from mmseg_deeplab_ext.conversion.from_tensorflow import plan_conversion, read_state_dict
from mmseg_deeplab_ext.conversion.origins import Origin
from mmseg_deeplab_ext.conversion.plan import EMA_CHOICES, Plan
from mmseg_deeplab_ext.errors import (
    CheckpointError,
    CheckpointMismatchError,
    CheckpointUnsupportedError,
)

FILE_SCHEME = "tf://"
_OPTIONS: dict[str, dict[str, Any]] = {
    "ema": {choice: choice for choice in EMA_CHOICES},
    "drop_logits": {"true": True, "false": False},
}
_LISTS = {"scope": "OLD=NEW", "ignore": "NAME"}
"""Options that take any value and may be there several times."""


def load_from_tensorflow(address: str, map_location: Any = None) -> dict[str, Any]:
    """Load a TensorFlow checkpoint as MMEngine loads a ``.pth``.

    Args:
        address: ``tf://PATH`` with anything that :func:`open_checkpoint` takes, or
            ``tf-zoo://NAME``. Options may follow: ``?drop_logits=true&ema=always``.
        map_location: a device; other kinds leave the tensors in main memory.

    Returns:
        ``meta`` and ``state_dict``, with the names of a segmentor.

    Raises:
        CheckpointError: the file can't be found, read, or understood.
    """
    checkpoint, options = open_address(address)
    with checkpoint:
        plan = _plan(checkpoint, options)
        tensors = read_state_dict(checkpoint, plan)
    print_log(f"{address}: {plan.report()}", logger="current")
    if isinstance(map_location, (str, torch.device)):  # else loading moves them to the module's
        tensors = {name: tensor.to(map_location) for name, tensor in tensors.items()}
    state_dict = OrderedDict(tensors)
    # Where PyTorch and MMEngine look for what a state dict says of itself.
    state_dict._metadata = Origin(address, plan.network)  # type: ignore[attr-defined]
    meta = checkpoint_meta(plan.network, from_zoo=address.startswith(ZOO_SCHEME))
    return {"meta": meta, "state_dict": state_dict}


def _plan(checkpoint: Checkpoint, options: dict[str, Any]) -> Plan:
    """The plan for all of a checkpoint, or for its backbone where nothing else is wrong.

    Only an ``init_cfg`` of a backbone can be content with that; the rest is refused when it asks.
    """
    try:
        return plan_conversion(checkpoint, **options)
    except (CheckpointMismatchError, CheckpointUnsupportedError) as error:
        try:
            return plan_conversion(checkpoint, **options, head_fault=str(error))
        except CheckpointError:
            raise error from None


for _scheme in (FILE_SCHEME, ZOO_SCHEME):
    CheckpointLoader.register_scheme(_scheme, load_from_tensorflow, force=True)


def is_address(checkpoint: str) -> bool:
    """Whether a checkpoint is named in one of the two schemes."""
    return checkpoint.startswith((FILE_SCHEME, ZOO_SCHEME))


def looks_like_tensorflow(path: str) -> bool:
    """Whether a path without a scheme leads to a TensorFlow checkpoint, judged by its name."""
    return path.endswith((".index", ".pb", ".tar.gz", ".tgz")) or any(
        os.path.exists(os.path.expanduser(path) + ending) for ending in (".index", "/checkpoint")
    )


def open_address(address: str) -> tuple[Checkpoint, dict[str, Any]]:
    """Open the checkpoint that an address, or a path without a scheme, names.

    Returns:
        The checkpoint, and the address's options as those of :func:`plan_conversion`.
    """
    if not is_address(address):
        return open_checkpoint(address), {}
    place, _, query = address.partition("?")
    options: dict[str, Any] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key in _LISTS:
            options[key] = [*options.get(key, ()), value]
            continue
        if value not in _OPTIONS.get(key, {}):
            forms = {**{key: "|".join(values) for key, values in _OPTIONS.items()}, **_LISTS}
            allowed = "; ".join(f"{key}={form}" for key, form in forms.items())
            raise CheckpointError(f"{address}: {key}={value} is no option; there are {allowed}")
        options[key] = _OPTIONS[key][value]
    if place.startswith(ZOO_SCHEME):
        from mmseg_deeplab_ext.checkpoints.zoo import open_entry  # with all that downloads need

        return open_entry(place), options
    return open_checkpoint(place[len(FILE_SCHEME) :]), options
