"""What can go wrong in an export besides its config and its checkpoint."""

from __future__ import annotations

from mmseg_deeplab_ext.errors import DeepLabExtError


class ExportError(DeepLabExtError, RuntimeError):
    """The file can't be written as asked, or what was written does not compute the same."""
