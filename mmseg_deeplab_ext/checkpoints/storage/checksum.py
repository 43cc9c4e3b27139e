"""Checking bytes against the masked CRC-32C that a checkpoint holds for them."""

from __future__ import annotations

from typing import Any

from crc32c import crc32c

from mmseg_deeplab_ext.checkpoints.storage.format import masked
from mmseg_deeplab_ext.errors import CheckpointChecksumError


def check_crc(crc: int, stored: int, what: str) -> None:
    """Compare a CRC with the masked one that a file holds.

    Args:
        crc: CRC-32C of the bytes as they were read.
        stored: masked CRC-32C from the file.
        what: the bytes in words.
    """
    found = masked(crc)
    if found != stored:
        raise CheckpointChecksumError(
            f"{what}: the checksum (masked CRC-32C) should be {stored:#010x}, and is "
            f"{found:#010x}; the file is damaged, get it again"
        )


def check_bytes(data: Any, stored: int, what: str) -> None:
    """Compare the CRC of ``data`` (anything with the buffer interface) with the stored one."""
    check_crc(crc32c(data), stored, what)
