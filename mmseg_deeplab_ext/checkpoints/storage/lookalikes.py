"""What a file that is no checkpoint looks like, for the message that says so."""

from __future__ import annotations

import os

from mmseg_deeplab_ext.checkpoints.storage.format import TABLE_MAGIC

_GIVE_PREFIX = "give what is before the suffix"

# Start of the file -> what it is.
_BY_START = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras weights), not a checkpoint of TensorFlow"),
    (b"PK\x03\x04", "a ZIP file (what torch.save and numpy.savez write)"),
    (b"\x80\x02", "a Python pickle (what old versions of torch.save write)"),
    (b"\x93NUMPY", "a NumPy file"),
    (b"BZh", "a bzip2 archive; unpack it first"),
    (b"\xfd7zXZ\x00", "an xz archive; unpack it first"),
    (b"version https://git-lfs", "a Git LFS pointer; the file itself was not fetched"),
    (b"<", "a web page, or XML; the download went wrong"),
)
# End of the name -> what it is, where nothing in the file tells.
_BY_SUFFIX = (
    (".meta", f"the graph beside a checkpoint; {_GIVE_PREFIX}"),
    ("saved_model.pb", "the graph of a SavedModel; give the folder that it is in"),
    (".pbtxt", "a graph as text"),
    (".tflite", "a TensorFlow Lite model"),
    (".safetensors", "a safetensors file"),
)


def describe(path: str) -> str:
    """What a regular file looks like, as the end of a sentence."""
    with open(path, "rb") as file:
        start = file.read(512)
    for magic, what in _BY_START:
        if start.startswith(magic):
            return f"it looks like {what}"
    if start[257:262] == b"ustar":
        return "it looks like a tar archive without compression; unpack it first"
    for suffix, what in _BY_SUFFIX:
        if path.endswith(suffix):
            return f"it looks like {what}"
    if not start:
        return "it is empty"
    return "it is cut off, or something else (a table ends with a magic number; here is none)"


def is_gzip(path: str) -> bool:
    """Whether a regular file is compressed with gzip."""
    with open(path, "rb") as file:
        return file.read(2) == b"\x1f\x8b"


def is_table(path: str) -> bool:
    """Whether a regular file ends as a table does; no, if it can't be read."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - len(TABLE_MAGIC)))
            return file.read(len(TABLE_MAGIC)) == TABLE_MAGIC
    except OSError:
        return False
