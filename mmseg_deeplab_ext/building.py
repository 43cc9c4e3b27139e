"""One line in place of a traceback where a part of a config can't be built."""

from __future__ import annotations

from contextlib import contextmanager
from types import FrameType
from typing import Iterator

from mmseg_deeplab_ext.errors import ConfigError, DeepLabExtError

_HOSTS = ("mmengine", "mmcv", "mmseg", "torch")


@contextmanager
def building(what: str) -> Iterator[None]:
    """Name the part of a config that a class refuses.

    A constructor, or a host package, that raises got a value that it does not take. What any other
    function raises is a fault of its code, and keeps its traceback; so does what PyTorch says at
    run time, of memory and devices.

    Args:
        what: The part, as the config names it.

    Raises:
        ConfigError: It was refused.
    """
    try:
        yield
    except DeepLabExtError:
        raise
    except Exception as error:
        frame = _last_frame(error)
        if frame is None or not _is_refusal(error, frame):
            raise
        said = " ".join(str(error).split()) or "no reason given"
        place = f"{frame.f_globals.get('__name__')}, line {frame.f_lineno}"
        raise ConfigError(
            f"{what} can't be built: {type(error).__name__}: {said} (raised in {place})"
        ) from error


def _last_frame(error: Exception) -> FrameType | None:
    trace, frame = error.__traceback__, None
    while trace is not None:
        frame, trace = trace.tb_frame, trace.tb_next
    return frame


def _is_refusal(error: Exception, frame: FrameType) -> bool:
    module = str(frame.f_globals.get("__name__")).partition(".")[0]
    if isinstance(error, RuntimeError) and module != "mmengine":
        return False
    return module in _HOSTS or frame.f_code.co_name == "__init__"
