"""Finding the files of the checkpoint that a path leads to."""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import dataclass, replace
from typing import Callable

from mmseg_deeplab_ext.checkpoints.storage.archive import is_graph, is_hidden, unpack
from mmseg_deeplab_ext.checkpoints.storage.format import index_path
from mmseg_deeplab_ext.checkpoints.storage.lookalikes import describe, is_gzip, is_table
from mmseg_deeplab_ext.checkpoints.storage.state_file import STATE_FILE, newest_checkpoint
from mmseg_deeplab_ext.errors import (
    CheckpointError,
    CheckpointFormatError,
    CheckpointNotFoundError,
)
from mmseg_deeplab_ext.wording import listed

_INDEX = index_path("")
_DATA = re.compile(r"\.data-\d{5}-of-\d{5}$")
_SHARD = re.compile(r"-\d{5}-of-(\d{5})$")  # of a V1 checkpoint
_SAVED_MODEL = os.path.join("variables", "variables")


def _nothing_to_clean() -> None:
    """For checkpoints that lie where the user put them."""


@dataclass(frozen=True)
class Located:
    """The files of a checkpoint.

    Attributes:
        path: the prefix of a V2 checkpoint, the file or the prefix of the shards of a V1 one, or
            the file of a frozen graph.
        label: how messages name it.
        v1_files: the files of a V1 checkpoint; none for others.
        is_graph: whether it is a frozen graph.
        clean_up: to be called when the files are not needed any more.
    """

    path: str
    label: str
    v1_files: tuple[str, ...] = ()
    is_graph: bool = False
    clean_up: Callable[[], None] = _nothing_to_clean

    @property
    def v1_labels(self) -> tuple[str, ...]:
        """How messages name the files of a V1 checkpoint."""
        return tuple(self.label + file[len(self.path) :] for file in self.v1_files)


def locate(path: str | os.PathLike[str]) -> Located:
    """Find the checkpoint that a path leads to; see ``open_checkpoint`` for the kinds of paths."""
    plain = os.path.expanduser(os.fsdecode(os.fspath(path)))
    if not plain or "\0" in plain:
        raise CheckpointNotFoundError(f"{plain!r} is no path")
    try:
        found = _at(plain) or _in_container(plain)
    except OSError as error:
        raise CheckpointNotFoundError(f"{plain}: {error}") from error
    if found is None:
        raise CheckpointNotFoundError(_why_not_found(plain))
    return found


def _at(path: str) -> Located | None:
    """The checkpoint that has the path as its prefix or one of its files."""
    if os.path.isfile(index_path(path)):
        return Located(path, path)
    if path.endswith(_INDEX) and os.path.isfile(path):
        return _at(path[: -len(_INDEX)])
    if os.path.isfile(path) and _DATA.search(path):
        return _at(_DATA.sub("", path))
    if os.path.isfile(path) and is_table(path):
        shard = _SHARD.search(path)
        return _v1_shards(path[: shard.start()]) if shard else Located(path, path, (path,))
    return _v1_shards(path)


def _v1_shards(prefix: str) -> Located | None:
    """The V1 checkpoint whose shards' names start with the prefix."""
    folder, start = os.path.split(prefix)
    if not start or not os.path.isdir(folder or "."):
        return None
    totals = set()
    for name in os.listdir(folder or "."):
        match = _SHARD.search(name)
        if match and name[: match.start()] == start:
            totals.add(match.group(1))
    if not totals:
        return None
    if len(totals) > 1:
        raise CheckpointFormatError(
            f"{prefix}: shards of several checkpoints, of {' and of '.join(sorted(totals))}"
        )
    (total,) = totals
    # Not more names than the folder has files: a missing one ends the search.
    files = []
    for number in range(int(total)):
        file = f"{prefix}-{number:05d}-of-{total}"
        if not os.path.isfile(file):
            raise CheckpointNotFoundError(f"{file}: one of {int(total)} shards, and is missing")
        files.append(file)
    return Located(prefix, prefix, tuple(files))


def _in_container(path: str) -> Located | None:
    """The checkpoint in a folder or an archive."""
    if os.path.isdir(path):
        return _in_folder(path)
    if not os.path.isfile(path):
        return None
    if is_gzip(path):
        return _in_archive(path)
    if is_graph(os.path.basename(path)):
        return _graph(path)
    if os.path.basename(path) == STATE_FILE:
        return _newest_in(os.path.dirname(path) or ".")
    if _DATA.search(path):
        raise CheckpointNotFoundError(
            f"{_DATA.sub('', path)}{_INDEX}: the index is missing; a data file alone can't be read"
        )
    raise CheckpointFormatError(f"{path} is no checkpoint of TensorFlow: {describe(path)}")


def _in_folder(folder: str) -> Located:
    if os.path.isfile(os.path.join(folder, STATE_FILE)):
        return _newest_in(folder)
    found = _all_in(folder)
    if len(found) == 1:
        return found[0]
    saved_model = _at(os.path.join(folder, _SAVED_MODEL))
    if not found and saved_model is not None:
        return saved_model
    graphs = _graphs_in(folder)
    if not found and len(graphs) == 1:
        return graphs[0]
    if found:
        raise CheckpointNotFoundError(
            f"{folder} holds {len(found)} checkpoints, and no file {STATE_FILE!r} that names the "
            f"newest; give one of: {', '.join(each.path for each in found)}"
        )
    names = sorted(os.listdir(folder))
    raise CheckpointNotFoundError(
        f"{folder} is a folder without a checkpoint; it holds {listed(names) or 'nothing'}"
    )


def _newest_in(folder: str) -> Located:
    newest = newest_checkpoint(folder, os.path.join(folder, STATE_FILE))
    written = os.path.join(folder, newest.path)
    # A folder that was moved, or comes from another machine, names an absolute path of old. Nothing
    # outside the folder is opened because a file in it says so.
    outside = os.path.relpath(written, folder).split(os.sep)[0] == os.pardir
    beside = [os.path.join(folder, name) for name in newest.names]
    for path in beside if outside else [written, *beside]:
        found = _at(path)
        if found is not None:
            return found
    others = ", ".join(each.path for each in _all_in(folder)) or "none"
    raise CheckpointNotFoundError(
        f"{os.path.join(folder, STATE_FILE)} names {newest.path!r} as the newest checkpoint, and "
        f"it is not beside it; give one of those that are: {others}"
    )


def _all_in(folder: str) -> list[Located]:
    """The checkpoints whose files are in a folder, but for hidden files."""
    found = {}
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if name == STATE_FILE or is_hidden(name) or _DATA.search(name) or not os.path.isfile(path):
            continue
        if name.endswith(_INDEX) or is_table(path):
            each = _at(path)
            if each is not None:
                found[each.path] = each
    return list(found.values())


def _graph(path: str) -> Located:
    return Located(path, path, is_graph=True)


def _graphs_in(folder: str) -> list[Located]:
    """The frozen graphs in a folder."""
    paths = [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if is_graph(name)]
    return [_graph(path) for path in paths if os.path.isfile(path)]


def _in_archive(archive: str) -> Located:
    unpacked = unpack(archive)
    try:
        folders = [folder for folder, _, _ in os.walk(unpacked.name)]
        found = [each for folder in folders for each in _all_in(folder) or _graphs_in(folder)]
        if len(found) > 1:
            found = [_newest_in(f) for f in folders if STATE_FILE in os.listdir(f)] or found
        if len(found) != 1:
            names = ", ".join(each.path[len(unpacked.name) + 1 :] for each in found) or "none"
            raise CheckpointNotFoundError(
                f"the archive should hold one checkpoint, and holds: {names}; unpack it, and give "
                "the path of one"
            )
    except CheckpointError as error:
        unpacked.cleanup()
        shown = str(error).replace(unpacked.name, archive)
        raise type(error)(f"{archive}: {shown}") from error
    label = archive + found[0].path[len(unpacked.name) :]
    return replace(found[0], label=label, clean_up=unpacked.cleanup)


def _why_not_found(path: str) -> str:
    folder, name = os.path.split(path)
    if not os.path.isdir(folder or "."):
        absolute = f"; is it /{path} (three slashes after tf:)?" * os.path.isdir(f"/{folder}")
        return f"{path}: there is no such checkpoint, and no folder {folder}{absolute}"
    names = [each.path for each in _all_in(folder or ".")]
    near = difflib.get_close_matches(path, names, n=3, cutoff=0.3)
    hint = f"; in its folder: {', '.join(near)}" if near else ""
    return (
        f"{path}: there is no such checkpoint: neither {name}{_INDEX}, nor a file, folder or "
        f"archive of this name{hint}"
    )
