"""The exceptions of predicting; each takes a single message, like all of the package."""

from __future__ import annotations

from mmseg_deeplab_ext.errors import DeepLabExtError


class PredictionError(DeepLabExtError, ValueError):
    """There is nothing to predict, or no place for the predictions."""


class UnreadableImageError(PredictionError):
    """One image can't be read or prepared; the others can still be predicted."""


class UnwritableFileError(PredictionError):
    """A file of one prediction can't be written; those of others perhaps can."""
