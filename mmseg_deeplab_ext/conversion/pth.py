"""What a ``.pth`` holds; a file that is none is an error with its name."""

from __future__ import annotations

import glob
import os
import re
from collections import OrderedDict
from typing import Any, Mapping

from mmengine.runner import CheckpointLoader, find_latest_checkpoint
from torch import Tensor

from mmseg_deeplab_ext.conversion.addresses import FILE_SCHEME, looks_like_tensorflow
from mmseg_deeplab_ext.conversion.plain_loading import reading, use_plain_loaders
from mmseg_deeplab_ext.errors import CheckpointFormatError, CheckpointNotFoundError
from mmseg_deeplab_ext.wording import listed


def demand_pth(checkpoint: str) -> None:
    """Refuse what can't be a ``.pth``, before anything is built.

    What an address with a scheme (``https://``, ``tf://``) leads to is not looked up.
    """
    if "://" in checkpoint or (
        os.path.isfile(checkpoint) and not looks_like_tensorflow(checkpoint)
    ):
        return
    if looks_like_tensorflow(checkpoint):
        reason = f"is a TensorFlow checkpoint; write {FILE_SCHEME}{checkpoint}"
    elif os.path.isdir(checkpoint):
        files = sorted(glob.glob(os.path.join(glob.escape(checkpoint), "*.pth")))
        newest = find_latest_checkpoint(checkpoint) if files else None
        example = f", such as {newest or files[-1]}" if files else "; it holds no .pth"
        reason = f"is a folder; name one of its files{example}"
    else:
        reason = "does not exist"
    raise CheckpointNotFoundError(f"The checkpoint {checkpoint} {reason}")


def load_pth(checkpoint: str) -> Mapping[str, Any]:
    """Load what a ``.pth``, or an address that MMEngine knows, holds, into main memory."""
    demand_pth(checkpoint)
    use_plain_loaders()
    with reading(checkpoint):
        content = CheckpointLoader.load_checkpoint(checkpoint, map_location="cpu", logger="silent")
    return _dictionary(content, checkpoint)


def state_dict_of(content: Any, *, source: str) -> dict[str, Tensor]:
    """Return the tensors of a loaded ``.pth``: its ``state_dict``, or all of it.

    ``module.`` in front of a name, from PyTorch's wrappers for distributed training, is cut off,
    as MMEngine does. ``source`` is the file's name for messages.
    """
    state = _dictionary(content, source).get("state_dict", content)
    if not isinstance(state, Mapping):
        raise CheckpointFormatError(
            f"{source}: its 'state_dict' is a {type(state).__name__}, expected a dictionary"
        )
    others = [name for name, value in state.items() if not isinstance(value, Tensor)]
    if others:
        raise CheckpointFormatError(
            f"{source}: expected tensors only, or a 'state_dict' of them; no tensors are: "
            + listed(others)
        )
    result = OrderedDict((re.sub(r"^module\.", "", str(n)), value) for n, value in state.items())
    if hasattr(state, "_metadata"):  # PyTorch's: versions of modules, and our own origin
        result._metadata = state._metadata  # type: ignore[attr-defined]
    return result


def _dictionary(content: Any, source: str) -> Mapping[str, Any]:
    if not isinstance(content, Mapping):
        raise CheckpointFormatError(
            f"{source} holds a {type(content).__name__}, expected a dictionary of tensors, or "
            "one with a 'state_dict' as MMEngine saves it"
        )
    return content
