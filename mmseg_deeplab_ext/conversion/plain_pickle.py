"""Read what PyTorch saved, as plain data, without PyTorch's reader.

For versions of PyTorch whose ``weights_only=True`` is known to be bypassed (docs/install.md). Both
of PyTorch's formats (``torch/serialization.py``) are pickles that name their tensors' storages: in
the archive, a storage is a member of its own, in the older format they follow one by one.
"""

from __future__ import annotations

import pickle
import pickletools
import re
import struct
import zipfile
from collections import Counter, OrderedDict
from typing import Any, BinaryIO, Callable, Iterator

import torch
from torch import Tensor

from mmseg_deeplab_ext.safe_globals import mmengine_globals

_STORAGES = {
    "Double": torch.float64,
    "Float": torch.float32,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
}


def read_plain(stream: BinaryIO) -> Any:
    """Read a file of ``torch.save``; its tensors lie in main memory.

    Raises:
        pickle.UnpicklingError: it holds more than plain data.
    """
    if not zipfile.is_zipfile(stream):
        stream.seek(0)
        return _read_in_sequence(stream)
    with zipfile.ZipFile(stream) as archive:
        (pickled,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
        folder = pickled[: -len("data.pkl")]
        if f"{folder}byteorder" in archive.namelist():
            order = archive.read(f"{folder}byteorder")
            if order != b"little":
                raise pickle.UnpicklingError(f"its byte order is {order!r}, expected b'little'")

        def storage(key: str, _: int) -> torch.UntypedStorage:
            return _filled(archive.read(f"{folder}data/{key}"))

        with archive.open(pickled) as content:
            return _Unpickler(content, storage).load()


def names_in(stream: BinaryIO) -> dict[str, str]:
    """The globals that the pickles of a file name, each with the dictionary key before it.

    Nothing of the file is executed; where it ends being a pickle, the search ends.
    """
    found: dict[str, str] = {}
    if not zipfile.is_zipfile(stream):
        stream.seek(0)
        for name, key in _names(stream):
            found.setdefault(name, key)
        return found
    with zipfile.ZipFile(stream) as archive:
        for member in archive.namelist():
            if member.endswith(".pkl"):
                for name, key in _names(archive.open(member)):
                    found.setdefault(name, key)
    return found


def plain_globals() -> dict[str, Any]:
    """What stands for the names in a file: of tensors and containers, and MMEngine's."""
    return {
        **mmengine_globals(),
        **{f"torch.{name}Storage": dtype for name, dtype in _STORAGES.items()},
        **{str(dtype): dtype for dtype in _STORAGES.values()},
        "torch._utils._rebuild_tensor_v2": _tensor,
        "torch._utils._rebuild_parameter": lambda data, *_: data,
        "torch.Size": torch.Size,
        "torch.device": torch.device,
        "collections.OrderedDict": OrderedDict,
        "collections.Counter": Counter,
        "_codecs.encode": lambda text, _: text.encode("latin1"),
        "builtins.set": set,
    }


class _Unpickler(pickle.Unpickler):
    """Knows no names but the plain ones, so that nothing else is called."""

    def __init__(self, stream: Any, storage: Callable[[str, int], torch.UntypedStorage]) -> None:
        super().__init__(stream)
        self._globals = plain_globals()
        self._storage = storage
        self._storages: dict[str, torch.UntypedStorage] = {}

    def find_class(self, module: str, name: str) -> Any:
        """What stands for a global."""
        wanted = _modern(f"{module}.{name}")
        if wanted not in self._globals:
            raise pickle.UnpicklingError(f"it names {wanted}")
        return self._globals[wanted]

    def persistent_load(self, saved: Any) -> Any:
        """A storage, by ``("storage", type, key, device, number of elements)``."""
        _, dtype, key, _, count = saved[:5]
        if not isinstance(dtype, torch.dtype) or saved[5:] not in ((), (None,)):
            raise pickle.UnpicklingError(f"it has a storage of an unknown kind: {saved}")
        if key not in self._storages:
            self._storages[key] = self._storage(key, count * _itemsize(dtype))
        return self._storages[key], dtype


def _read_in_sequence(stream: BinaryIO) -> Any:
    def plain() -> Any:
        return _Unpickler(stream, storage).load()

    storages: dict[str, torch.UntypedStorage] = {}
    size = stream.seek(0, 2)
    stream.seek(0)

    def storage(key: str, count: int) -> torch.UntypedStorage:
        if not 0 <= count <= size:
            raise pickle.UnpicklingError(f"a storage of {count} bytes in a file of {size}")
        return storages.setdefault(key, torch.UntypedStorage(count))

    for _ in ("magic number", "version", "system"):
        plain()
    content = plain()
    for key in plain():
        (_,) = struct.unpack("<q", stream.read(8))  # the number of elements once more
        storages[key].copy_(_filled(stream.read(storages[key].nbytes())))
    return content


def _filled(data: bytes) -> torch.UntypedStorage:
    if not data:
        return torch.UntypedStorage(0)
    return torch.frombuffer(bytearray(data), dtype=torch.uint8).untyped_storage()


def _itemsize(dtype: torch.dtype) -> int:
    return torch.empty(0, dtype=dtype).element_size()


def _tensor(
    storage: tuple[torch.UntypedStorage, torch.dtype],
    offset: int,
    size: tuple[int, ...],
    stride: tuple[int, ...],
    *_: Any,
) -> Tensor:
    """A view of a storage, which must have all of it."""
    data, dtype = storage
    last = offset + sum((length - 1) * step for length, step in zip(size, stride))
    if min((offset, *size, *stride)) < 0 or len(size) != len(stride):
        raise pickle.UnpicklingError(f"a tensor of size {size}, strides {stride} at {offset}")
    if 0 not in size and (last + 1) * _itemsize(dtype) > data.nbytes():
        raise pickle.UnpicklingError(f"a tensor of size {size} in {data.nbytes()} bytes")
    return torch.empty(0, dtype=dtype).set_(data, offset, size, stride)


def _modern(name: str) -> str:
    """A global as Python 3 names it; PyTorch writes pickles that Python 2 could read."""
    return re.sub(r"^__builtin__\.", "builtins.", name)


def _names(stream: Any) -> Iterator[tuple[str, str]]:
    """The globals of the pickles in a stream, each with the string before it."""
    while True:
        memo: dict[int, str] = {}
        before = [""]
        try:
            argument: Any
            for opcode, argument, _ in pickletools.genops(stream):
                if "UNICODE" in opcode.name:
                    before = [*before[-1:], argument]
                elif "PUT" in opcode.name:
                    memo[argument] = before[-1]
                elif opcode.name == "MEMOIZE":
                    memo[len(memo)] = before[-1]
                elif "GET" in opcode.name:
                    before = [*before[-1:], memo.get(argument, "")]
                elif opcode.name == "GLOBAL":
                    yield _modern(argument.replace(" ", ".")), before[-1]
                elif opcode.name == "STACK_GLOBAL":
                    yield ".".join(before), ""
        except ValueError:  # how pickletools says that this is none
            return
