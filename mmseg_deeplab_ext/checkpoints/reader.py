"""Opening checkpoints of TensorFlow, and reading tensors from them."""

from __future__ import annotations

import difflib
import os
import weakref
from typing import Any, Callable, Iterator, Mapping, Union

import numpy as np

from mmseg_deeplab_ext.checkpoints.storage.bundle import Bundle
from mmseg_deeplab_ext.checkpoints.storage.frozen import FrozenGraph
from mmseg_deeplab_ext.checkpoints.storage.locate import locate
from mmseg_deeplab_ext.checkpoints.storage.v1 import V1Checkpoint
from mmseg_deeplab_ext.errors import CheckpointError

Store = Union[Bundle, V1Checkpoint, FrozenGraph]


def open_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Open a checkpoint of TensorFlow's, written by any version, or a frozen graph.

    Args:
        path: what the names of its files start with, as TensorFlow takes it; the ``.index`` or a
            ``.data-...`` file; a folder with a ``checkpoint`` file, or that file (the newest one it
            names is taken, from beside it); a folder with exactly one checkpoint, or of a
            SavedModel; an archive of the model zoo as downloaded (``.tar.gz``; unpacked into a
            temporary folder until the checkpoint is closed or no longer used); a frozen graph
            (``.pb``), or a folder or an archive that holds one and no checkpoint.

    Returns:
        The open checkpoint, a context manager.

    Raises:
        CheckpointNotFoundError: there is none, or one of its files is missing.
        CheckpointFormatError: something else is there, or it is cut off or contradicts itself.
        CheckpointChecksumError: it is damaged.
        CheckpointUnsupportedError: it needs a newer reader.
    """
    found = locate(path)
    try:
        store: Store
        if found.is_graph:
            store = FrozenGraph(found.path, found.label)
        elif found.v1_files:
            store = V1Checkpoint(found.v1_files, found.v1_labels)
        else:
            store = Bundle(found.path, found.label)
    except BaseException:
        found.clean_up()
        raise
    return Checkpoint(store, path=found.label, clean_up=found.clean_up)


class Checkpoint(Mapping[str, np.ndarray]):
    """The tensors of an open checkpoint by their names.

    Nothing of a tensor is read before it is asked for, and then every byte of it is checked
    against its checksum, but for frozen graphs, which have none. ``checkpoint[name]`` shares memory
    with the file where it can; ``read`` gives memory of its own. While arrays of the first kind are
    in use, the file must not be cut off (the process would end with SIGBUS); replacing it by
    renaming another one is harmless.

    Attributes:
        path: how messages name it.
        format: "V1", "V2" or "frozen graph".
    """

    def __init__(
        self,
        store: Store,
        *,
        path: str,
        clean_up: Callable[[], None],
    ) -> None:
        self.path = path
        self.format = store.format
        self._open_store: Store | None = store
        self._release = weakref.finalize(self, _release, store, clean_up)

    @property
    def _store(self) -> Store:
        if self._open_store is None:
            raise CheckpointError(f"{self.path}: the checkpoint is closed; open it again")
        return self._open_store

    def __getitem__(self, name: str) -> np.ndarray:
        """A tensor, read-only; on mapped memory if its bytes can be used as they are.

        Raises:
            KeyError: there is no such tensor.
            CheckpointError: its bytes are missing, damaged, contradictory or not supported.
        """
        self._require(name)
        array = self._store.view(name)
        if array is None:
            array = self._store.read(name)
            array.flags.writeable = False
        return array

    def read(self, name: str) -> np.ndarray:
        """A tensor in memory of its own: writable, C-contiguous, in native byte order.

        Raises:
            KeyError: there is no such tensor.
            CheckpointError: its bytes are missing, damaged, contradictory or not supported.
        """
        self._require(name)
        return self._store.read(name)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, from the index alone.

        Raises:
            KeyError: there is no such tensor.
            CheckpointUnsupportedError: tensors of that type can't be read here.
        """
        self._require(name)
        return self._store.type_and_shape(name)[1]

    def dtype(self, name: str) -> np.dtype:
        """Type of the elements that reading gives, from the index alone.

        float32 for bfloat16, object (bytes) for strings, integers for quantised types.

        Raises:
            KeyError: there is no such tensor.
            CheckpointUnsupportedError: tensors of that type can't be read here.
        """
        self._require(name)
        return self._store.type_and_shape(name)[0].returned

    def _require(self, name: str) -> None:
        if name not in self._store.names:
            near = difflib.get_close_matches(str(name), self._store.names, n=3)
            hint = f"; similar: {', '.join(near)}" if near else ""
            raise KeyError(f"{self.path} has no tensor {name!r}{hint}")

    def __contains__(self, name: object) -> bool:
        return name in self._store.names

    def __iter__(self) -> Iterator[str]:
        return iter(self._store.names)

    def __len__(self) -> int:
        return len(self._store.names)

    def get(self, name: str, default: Any = None) -> Any:
        """The tensor, or ``default`` where there is none."""
        return self[name] if name in self else default

    # As a mapping it would be compared by its items, and arrays don't compare to a truth value.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        state = "closed" if self._open_store is None else f"{len(self)} tensors"
        return f"<{type(self).__name__} {self.path} ({self.format}, {state})>"

    def close(self) -> None:
        """Close the files. Arrays that were handed out stay valid."""
        self._open_store = None
        self._release()

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()


def _release(store: Store, clean_up: Callable[[], None]) -> None:
    store.close()
    clean_up()
