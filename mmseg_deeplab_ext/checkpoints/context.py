"""Where in a checkpoint something went wrong, put in front of the message that says what."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Iterator

from mmseg_deeplab_ext.checkpoints.errors import CheckpointError


@contextmanager
def located(place: str) -> Iterator[None]:
    """Put ``place`` in front of the message of any ``CheckpointError`` raised inside.

    Args:
        place: a file, a tensor, an offset, as a reader of the message should see it.
    """
    try:
        yield
    except CheckpointError as error:
        raise type(error)(f"{place}: {error}") from error.__cause__
