"""One line in place of a traceback where a part of a config can't be built."""

from __future__ import annotations

import sysconfig
from contextlib import contextmanager
from types import FrameType
from typing import Iterator

from mmseg_deeplab_ext.errors import ConfigError, DeepLabExtError

_HOSTS = ("mmengine", "mmcv", "mmseg", "torch")
_LONGEST = 300
"""Characters of a host's message that are shown: some print a whole config."""

_LIBRARY = sysconfig.get_path("stdlib")
_PACKAGES = sysconfig.get_path("purelib")


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
        frame = _caller(error)
        if frame is None or not _is_refusal(error, frame):
            raise
        said = " ".join(str(error).split()) or "no reason given"
        said = said[:_LONGEST] + " ..." * (len(said) > _LONGEST)
        place = f"{frame.f_globals.get('__name__')}, line {frame.f_lineno}"
        raise ConfigError(
            f"{what} can't be built: {type(error).__name__}: {said} (raised in {place})"
        ) from error


def _caller(error: Exception) -> FrameType | None:
    """The last frame that is not Python's or NumPy's own: what they raise is about its call."""
    trace, caller = error.__traceback__, None
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        python = name.startswith((_LIBRARY, "<frozen ")) and not name.startswith(_PACKAGES)
        if not python and not _root(trace.tb_frame).startswith("numpy"):
            caller = trace.tb_frame
        trace = trace.tb_next
    return caller


def _root(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__")).partition(".")[0]


def _is_refusal(error: Exception, frame: FrameType) -> bool:
    if isinstance(error, RuntimeError) and _root(frame) != "mmengine":
        return False
    return _root(frame) in _HOSTS or frame.f_code.co_name == "__init__"
