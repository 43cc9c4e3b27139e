"""What a ``.pth`` holds; a file that is none is an error with its name."""

from __future__ import annotations

import pickle
import re
from contextlib import contextmanager
from typing import Any, Iterator, Mapping

from mmengine.runner import CheckpointLoader
from torch import Tensor

from mmseg_deeplab_ext.checkpoints.errors import CheckpointFormatError, CheckpointNotFoundError
from mmseg_deeplab_ext.checkpoints.wording import listed
from mmseg_deeplab_ext.errors import DeepLabExtError


@contextmanager
def reading(checkpoint: str) -> Iterator[None]:
    """Name the file in the errors of whatever loads it inside this context.

    Args:
        checkpoint: A file, or an address with a scheme that MMEngine knows.

    Raises:
        CheckpointNotFoundError: There is no such file.
        CheckpointFormatError: It is no PyTorch file, or a damaged one.
    """
    try:
        yield
    except DeepLabExtError:
        raise
    except OSError as error:
        raise CheckpointNotFoundError(f"{checkpoint} can't be read: {error}") from error
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise CheckpointFormatError(f"{checkpoint} is no sound PyTorch file: {error}") from error


def load_pth(checkpoint: str) -> Mapping[str, Any]:
    """Load what a ``.pth`` holds, into main memory.

    Args:
        checkpoint: A file, or an address with a scheme that MMEngine knows.

    Raises:
        CheckpointNotFoundError: There is no such file.
        CheckpointFormatError: It is no PyTorch file, or does not hold a dictionary.
    """
    with reading(checkpoint):
        content = CheckpointLoader.load_checkpoint(checkpoint, map_location="cpu", logger="silent")
    return _dictionary(content, checkpoint)


def state_dict_of(content: Any, *, source: str) -> dict[str, Tensor]:
    """Return the tensors of a loaded ``.pth``: its ``state_dict``, or all of it.

    ``module.`` in front of a name, from PyTorch's wrappers for distributed training, is cut off,
    as MMEngine does.

    Args:
        content: What was loaded.
        source: Its name for messages.

    Raises:
        CheckpointFormatError: It is no dictionary, or something in it is no tensor.
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
    return {re.sub(r"^module\.", "", str(name)): value for name, value in state.items()}


def _dictionary(content: Any, source: str) -> Mapping[str, Any]:
    if not isinstance(content, Mapping):
        raise CheckpointFormatError(
            f"{source} holds a {type(content).__name__}, expected a dictionary of tensors, or "
            "one with a 'state_dict' as MMEngine saves it"
        )
    return content
