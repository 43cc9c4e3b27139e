"""Writes TensorFlow's V2 checkpoints (bundles of one shard) from NumPy arrays.

Sources: ``tensorflow/core/util/tensor_bundle/tensor_bundle.cc`` (``BundleWriter``),
``core/protobuf/tensor_bundle.proto`` and ``core/framework/tensor_shape.proto``.
"""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import BinaryIO, Mapping

import numpy as np
from crc32c import crc32c

from mmseg_deeplab_ext.atomic_files import file_made_whole
from mmseg_deeplab_ext.checkpoints.storage.format import (
    DT_STRING,
    HEADER_KEY,
    NUMPY_DTYPES,
    index_path,
    masked,
    shard_path,
)
from mmseg_deeplab_ext.checkpoints.storage.messages import BundleEntry, BundleHeader
from mmseg_deeplab_ext.checkpoints.storage.strings import encode_lengths
from mmseg_deeplab_ext.checkpoints.storage.table_writer import build_table
from mmseg_deeplab_ext.errors import CheckpointWriteError
from mmseg_deeplab_ext.wording import listed
from mmseg_deeplab_ext.writable import problems_of_files

_DTYPE_NUMBERS = {dtype: number for number, dtype in NUMPY_DTYPES.items()}
_NEW_LINE = "\n  "


def write_checkpoint(
    prefix: str | os.PathLike[str],
    tensors: Mapping[str, np.ndarray],
    *,
    overwrite: bool = False,
) -> None:
    """Write a checkpoint that TensorFlow's ``Saver`` and ``CheckpointReader`` read.

    Two files appear, ``PREFIX.index`` and ``PREFIX.data-00000-of-00001``, equal byte for byte to
    those of TensorFlow's ``Saver``. Both are first written whole under temporary names beside;
    the index, without which there is no checkpoint, is renamed last. If anything goes wrong
    before that, nothing is left behind. To overwrite, the old index is removed first: a program
    killed at the worst moment leaves no checkpoint, never the index of one with another's data.
    Whoever has opened the old index by then finds data with other checksums, which is an error.

    Args:
        prefix: What the names of the files start with, as in ``folder/model.ckpt``. The folder
            must exist. ``~`` is the home folder.
        tensors: Variables by TensorFlow's names. Float16/32/64, complex, all integers, bool,
            and strings as object arrays of bytes; of any shape and byte order. Each is asked for
            twice, for the checks and for the writing; at most one is copied at a time.
        overwrite: Replace a checkpoint that is there already.

    Raises:
        CheckpointWriteError: A name or a dtype can't be written (all are looked at before any
            file is touched), the checkpoint exists, or the file system refuses.
    """
    prefix = os.path.expanduser(os.fspath(prefix))
    index, data = Path(index_path(prefix)), Path(shard_path(prefix, 0, 1))
    _check_tensors(tensors, prefix=prefix)
    _check_place(prefix, [index, data], overwrite=overwrite)
    try:
        _remove_leftovers(index, data)
        # The inner one, the data, is renamed first.
        with file_made_whole(index) as new_index, file_made_whole(data) as new_data:
            with new_data.open("wb") as file:
                entries = _write_data(file, tensors)
                _flush_to_disk(file)
            with new_index.open("wb") as file:
                file.write(build_table(entries))
                _flush_to_disk(file)
            if index.exists():
                os.unlink(index)
    except OSError as error:
        raise CheckpointWriteError(f"{prefix}: the checkpoint can't be written: {error}") from error


def _check_tensors(tensors: Mapping[str, np.ndarray], *, prefix: str) -> None:
    """Find everything that can't be written, before anything is."""
    problems = []
    for name in tensors:
        problem = _problem_of_name(name) or _problem_of_value(tensors[name])
        if problem:
            problems.append(f"{name!r}: {problem}")
    if problems:
        head = (
            f"{prefix}: nothing was written, because of {len(problems)} of {len(tensors)} tensors:"
        )
        raise CheckpointWriteError(f"{head}\n  {listed(problems, separator=_NEW_LINE)}")


def _problem_of_name(name: object) -> str | None:
    if not isinstance(name, str) or not name:
        return "a name must be a string that is not empty"
    # TensorFlow's keys for the parts of partitioned variables start with this character.
    if "\0" in name:
        return "a name must not contain the character NUL"
    try:
        name.encode()
    except UnicodeEncodeError:
        return "the name is no valid Unicode"
    return None


def _problem_of_value(value: object) -> str | None:
    if not isinstance(value, (np.ndarray, np.generic)):
        return f"expected a NumPy array, got {type(value).__name__}"
    if value.dtype == object:
        others = {type(item).__name__ for item in np.asarray(value).flat if type(item) is not bytes}
        if not others:
            return None
        return f"an object array must hold bytes (a string tensor), got {', '.join(sorted(others))}"
    if value.dtype.newbyteorder("=") not in _DTYPE_NUMBERS:
        allowed = ", ".join(sorted(dtype.name for dtype in _DTYPE_NUMBERS))
        return f"dtype {value.dtype} can't be written; allowed: {allowed}, and objects (bytes)"
    return None


def _check_place(prefix: str, files: list[Path], *, overwrite: bool) -> None:
    # As a path it would lead to that file (a V1 checkpoint is one) or folder, not to the new files.
    if os.path.exists(prefix):
        raise CheckpointWriteError(
            f"{prefix} is a file or folder, and so can't be what the names of a checkpoint's files "
            "start with; choose another name, such as FOLDER/model.ckpt"
        )
    for problem in problems_of_files(files, overwrite=overwrite):
        raise CheckpointWriteError(problem)


def _remove_leftovers(*files: Path) -> None:
    """Remove the temporary files that killed programs left of these files."""
    for file in files:
        for leftover in file.parent.glob(f".{glob.escape(file.name)}.*.partial"):
            leftover.unlink()


def _write_data(file: BinaryIO, tensors: Mapping[str, np.ndarray]) -> list[tuple[bytes, bytes]]:
    """Write the tensors' bytes back to back; returns the index's keys and values."""
    entries = [(HEADER_KEY, BundleHeader(num_shards=1, big_endian=False).encode())]
    offset = 0
    for key, name in sorted((name.encode(), name) for name in tensors):
        value = np.asarray(tensors[name])
        write = _write_strings if value.dtype == object else _write_numbers
        size, checksum = write(file, value)
        number = _DTYPE_NUMBERS.get(value.dtype.newbyteorder("="), DT_STRING)
        entry = BundleEntry(number, value.shape, 0, offset, size, masked(checksum))
        entries.append((key, entry.encode()))
        offset += size
    return entries


def _write_numbers(file: BinaryIO, value: np.ndarray) -> tuple[int, int]:
    """Write elements in C order, little-endian; returns the size and the CRC32C."""
    stored = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<"))
    content = stored.reshape(-1).view(np.uint8).data
    file.write(content)
    return stored.nbytes, crc32c(content)


def _write_strings(file: BinaryIO, value: np.ndarray) -> tuple[int, int]:
    """Write the strings' lengths and the strings; returns the size and the CRC32C."""
    strings = list(value.flat)
    head, checksum = encode_lengths([len(string) for string in strings])
    file.write(head)
    for string in strings:
        file.write(string)
        checksum = crc32c(string, checksum)
    return len(head) + sum(map(len, strings)), checksum


def _flush_to_disk(file: BinaryIO) -> None:
    """Make sure that a file's content is on the disk before its name is."""
    file.flush()
    os.fsync(file.fileno())
