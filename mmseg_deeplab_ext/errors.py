"""The exception tree: every error this package raises on purpose, catchable as one base class.

Each takes a single message, because MMEngine's registry and PyTorch's data-loader workers
re-raise an exception by calling its class with one string.
"""


class DeepLabExtError(Exception):
    """Base class of the errors that a user can mend; the tools print them without a traceback."""


class EnvironmentNotReadyError(DeepLabExtError, RuntimeError):
    """A needed package is missing, too old, broken, or in conflict with another one."""


class ConfigError(DeepLabExtError, ValueError):
    """A config asks for something impossible or contradictory."""


class DatasetError(DeepLabExtError, ValueError):
    """A data set file is missing, unreadable, or contradicts the config."""


def message_of(error: DeepLabExtError) -> str:
    """The message an error was raised with.

    Where a data loader's worker raised it, PyTorch put the worker's traceback in front.
    """
    return str(error).rpartition(f"{__name__}.{type(error).__name__}: ")[2].rstrip()
