"""The exception tree: every error this package raises on purpose, catchable as one base class.

Each takes a single message, because MMEngine's registry and PyTorch's data-loader workers
re-raise an exception by calling its class with one string.
"""

from __future__ import annotations

import sys
from typing import Callable


class DeepLabExtError(Exception):
    """Base class of the errors that a user can mend; the tools print them without a traceback."""


class EnvironmentNotReadyError(DeepLabExtError, RuntimeError):
    """A needed package is missing, too old, broken, or in conflict with another one."""


class ConfigError(DeepLabExtError, ValueError):
    """A config asks for something impossible or contradictory."""


class DatasetError(DeepLabExtError, ValueError):
    """A data set file is missing, unreadable, or contradicts the config."""


class ImageFileError(DatasetError):
    """An image file is empty, cut off, a video, or of values that would be lost."""


class TrainingDivergedError(DeepLabExtError, RuntimeError):
    """A loss or a weight is not finite: what follows would be lost time."""


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


class PredictionError(DeepLabExtError, ValueError):
    """There is nothing to predict, or no place for the predictions."""


class UnreadableImageError(PredictionError):
    """One image can't be read or prepared; the others can still be predicted."""


class UnwritableFileError(PredictionError):
    """A file of one prediction can't be written; those of others perhaps can."""


class ExportError(DeepLabExtError, RuntimeError):
    """The file can't be written as asked, or what was written does not compute the same."""


def run_tool(main: Callable[[], int | None]) -> None:
    """Run a tool and exit; an error that its user can mend is one message, without a traceback.

    Where a data loader's worker raised it, PyTorch put the worker's traceback in front.
    """
    try:
        sys.exit(main())
    except DeepLabExtError as error:
        message = str(error).rpartition(f"{__name__}.{type(error).__name__}: ")[2].rstrip()
        sys.exit(f"{sys.argv[0]}: error: {message}")
