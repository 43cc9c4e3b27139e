"""The file ``checkpoint`` in a folder of checkpoints: which of them is the newest.

It is a CheckpointState (``tensorflow/python/training/checkpoint_state.proto``) as text, such as
``model_checkpoint_path: "model.ckpt-30000"``.
"""

from __future__ import annotations

import ntpath
import os
import posixpath
import re
from dataclasses import dataclass

from mmseg_deeplab_ext.errors import CheckpointFormatError, CheckpointNotFoundError

STATE_FILE = "checkpoint"
# Each checkpoint that was kept takes a line or two.
_LARGEST = 1 << 20
_NEWEST = re.compile(
    rb"^(?:\xef\xbb\xbf)?[ \t]*model_checkpoint_path[ \t]*:[ \t]*"
    rb"""(?:"((?:[^"\\\n]|\\.)*)"|'((?:[^'\\\n]|\\.)*)')""",
    re.M,
)
_ESCAPE = re.compile(rb"\\([0-7]{1,3}|[xX][0-9a-fA-F]{1,2}|.)", re.S)
_CONTROL = dict(zip(b"abfnrtv", b"\a\b\f\n\r\t\v"))


@dataclass(frozen=True)
class Newest:
    """What a state file says.

    Attributes:
        path: the path in it, of the machine that wrote it.
        names: what the checkpoint beside the state file may be called: the path's last part, by the
            rules of POSIX or of Windows, and the same without escapes, which people leave out.
    """

    path: str
    names: tuple[str, ...]


def newest_checkpoint(folder: str, label: str) -> Newest:
    """Read the state file of a folder.

    Args:
        folder: the folder.
        label: how messages name the state file.
    """
    try:
        with open(os.path.join(folder, STATE_FILE), "rb") as file:
            data = file.read(_LARGEST)
    except OSError as error:
        raise CheckpointNotFoundError(f"{label}: {error}") from error
    match = _NEWEST.search(data)
    if match is None:
        raise CheckpointFormatError(
            f'{label}: it should have a line such as model_checkpoint_path: "model.ckpt-1", and '
            f"starts with {data[:60]!r}; give the checkpoint itself"
        )
    quoted = match.group(1) if match.group(1) is not None else match.group(2)
    path = os.fsdecode(_ESCAPE.sub(_unescape, quoted))
    if not path or "\0" in path:
        raise CheckpointFormatError(f"{label}: it names {path!r}, which is no path")
    spellings = (path, os.fsdecode(quoted))
    names = [rules.basename(each) for each in spellings for rules in (posixpath, ntpath)]
    return Newest(path, tuple(dict.fromkeys(filter(None, names))))


def _unescape(match: re.Match[bytes]) -> bytes:
    """The byte that an escape sequence of the text format stands for."""
    code = match.group(1)
    if code[:1].isdigit():
        return bytes([int(code, 8) & 0xFF]) if code[0] < ord("8") else code
    if code[:1] in b"xX" and len(code) > 1:
        return bytes([int(code[1:], 16)])
    return bytes([_CONTROL.get(code[0], code[0])])
