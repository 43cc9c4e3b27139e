"""Reading parts of a file: into memory of one's own, or as views on a mapping."""

from __future__ import annotations

import mmap
import os
import stat
import threading
from typing import Any

import numpy as np

from mmseg_deeplab_ext.errors import (
    CheckpointFormatError,
    CheckpointNotFoundError,
)


class CheckpointFile:
    """A file open for reading.

    Args:
        path: where it lies.
        label: how messages name it, if not by its path (the member of an archive).
    """

    def __init__(self, path: str, label: str | None = None) -> None:
        self.label = label or path
        self._map: mmap.mmap | None = None
        self._lock = threading.Lock()
        try:
            # Opening a pipe would wait for someone to write.
            if not stat.S_ISREG(os.stat(path).st_mode):
                raise CheckpointNotFoundError(f"{self.label}: not a regular file")
            self._file = open(path, "rb", buffering=0)  # noqa: SIM115
            self.size = os.fstat(self._file.fileno()).st_size
        except OSError as error:
            raise CheckpointNotFoundError(f"{self.label}: {error.strerror}") from error

    def check_range(self, offset: int, size: int) -> None:
        """See that ``size`` bytes from ``offset`` are inside the file."""
        if offset < 0 or size < 0 or offset + size > self.size:
            raise CheckpointFormatError(
                f"{self.label}: offset {offset}: {size} bytes wanted, and the file has "
                f"{self.size}; it is cut off, or what refers to it is damaged"
            )

    def read(self, offset: int, size: int) -> np.ndarray:
        """Read ``size`` bytes from ``offset`` into fresh memory: uint8 [size]."""
        self.check_range(offset, size)
        data = np.empty(size, np.uint8)
        self.read_into(data, offset)
        return data

    def read_into(self, data: np.ndarray, offset: int) -> None:
        """Fill ``data``, uint8 [size], with the bytes from ``offset``."""
        self.check_range(offset, data.size)
        rest = data.data
        try:
            while rest:
                count = self._read_some(rest, offset + data.size - len(rest))
                if not count:
                    # It was as long as it should be when it was opened.
                    raise CheckpointFormatError(
                        f"{self.label}: offset {offset}: the file was cut off while being read"
                    )
                rest = rest[count:]
        except OSError as error:
            raise CheckpointFormatError(
                f"{self.label}: offset {offset}: {error.strerror}"
            ) from error

    def _read_some(self, data: memoryview, offset: int) -> int:
        """Fill the start of ``data``; how many bytes were read."""
        if hasattr(os, "preadv"):
            return os.preadv(self._file.fileno(), [data], offset)
        with self._lock:
            self._file.seek(offset)
            return self._file.readinto(data) or 0

    def view(self, offset: int, size: int) -> np.ndarray:
        """``size`` bytes from ``offset`` on mapped memory: read-only uint8 [size].

        The view stays valid when the file is closed. Whoever cuts off the file while there are
        views on it makes the process that reads them end with SIGBUS, as with every mapping.
        """
        self.check_range(offset, size)
        if not size:
            return np.frombuffer(b"", np.uint8)
        with self._lock:
            if self._map is None:
                try:
                    self._map = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
                except (OSError, ValueError) as error:
                    raise CheckpointFormatError(
                        f"{self.label}: can't be mapped: {error}"
                    ) from error
        self._check_not_shortened()
        return np.frombuffer(self._map, np.uint8, size, offset)

    def _check_not_shortened(self) -> None:
        found = os.fstat(self._file.fileno()).st_size
        if found < self.size:
            raise CheckpointFormatError(
                f"{self.label}: had {self.size} bytes when it was opened, and has {found}"
            )

    def close(self) -> None:
        """Close the file; views that were handed out keep what they show."""
        self._map = None
        self._file.close()

    def __enter__(self) -> CheckpointFile:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()
