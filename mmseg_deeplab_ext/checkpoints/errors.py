"""The exceptions of reading, writing and converting checkpoints, catchable as one.

Each takes a single message, like those of ``mmseg_deeplab_ext.errors``.
"""

from __future__ import annotations

from mmseg_deeplab_ext.errors import DeepLabExtError


class CheckpointError(DeepLabExtError, ValueError):
    """Base class: something is wrong with a checkpoint, or with what was asked of it."""


class CheckpointNotFoundError(CheckpointError):
    """A path leads to no checkpoint, or one of the checkpoint's files is missing."""


class CheckpointFormatError(CheckpointError):
    """A file is no TensorFlow checkpoint, is cut off, or contradicts itself."""


class CheckpointChecksumError(CheckpointError):
    """Bytes differ from what was written: their checksum is another one."""


class CheckpointUnsupportedError(CheckpointError):
    """A sound checkpoint holds something that is not supported here."""


class CheckpointMismatchError(CheckpointError):
    """A sound checkpoint does not fit the network it is wanted for."""


class CheckpointWriteError(CheckpointError):
    """A checkpoint can't be written as asked."""
