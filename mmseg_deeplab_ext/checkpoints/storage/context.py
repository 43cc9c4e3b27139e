"""Where in a checkpoint something went wrong, put in front of the message that says what."""

from __future__ import annotations

from mmseg_deeplab_ext.errors import CheckpointError


class errors_at:
    """Puts a place in front of the message of any ``CheckpointError`` raised inside.

    Args:
        place: a file, a tensor, an offset, as a reader of the message should see it.
    """

    # Entered once per tensor of an index: a generator as context manager would take longer.
    __slots__ = ("_place",)

    def __init__(self, place: str) -> None:
        self._place = place

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, CheckpointError):
            raise type(error)(f"{self._place}: {error}") from error.__cause__
