"""Which images are to be predicted, and what their predictions are called."""

from __future__ import annotations

import glob
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, Sequence

from mmseg_deeplab_ext.errors import PredictionError

SUFFIXES = (
    *(".avif", ".bmp", ".dib", ".gif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm"),
    *(".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"),
)
"""What counts as an image in a folder: formats that OpenCV, MMCV's decoder, can read."""

LABELS, OVERLAYS = "labels", "overlays"
"""Names of the folders of the predictions."""


@dataclass(frozen=True)
class Picture:
    """An image file.

    Attributes:
        path: The file.
        name: Relative path of its predictions, ending in ``.png``; no two pictures share one.
    """

    path: Path
    name: Path


def find_pictures(arguments: Sequence[str | Path], *, out: Path) -> list[Picture]:
    """Find the images that a command line names, in the order of the arguments, each once.

    The predictions' names mirror the tree of the images below the folder given, or below the
    folder that all arguments have in common. Where names differ in their suffix only, or in
    upper and lower case, all predictions of that folder keep the suffix: ``a.jpg.png`` and
    ``a.png.png``. So they do where a folder of images is called ``a.png``.

    Args:
        arguments: Files of any suffix; folders, searched with their subfolders for files with
            one of ``SUFFIXES``; glob patterns, ``**`` included. What is hidden (its name starts
            with a dot) is passed over in folders.
        out: Folder of the predictions: passed over in folders, and its ``labels`` and ``overlays``
            in globs too, so that no prediction is taken for an image.
    """
    if not arguments:
        raise PredictionError("No images were given. Name files, folders or globs.")
    files: dict[str, None] = {}
    roots: list[str] = []
    problems = []
    for argument in map(str, arguments):
        found = list(_expand(argument, out=out))
        if not found:
            problems.append(_nothing_at(argument))
        for root, path in found:
            roots.append(root)
            files[path] = None
    if problems:
        raise PredictionError("\n".join(problems))
    base = os.path.commonpath(roots)
    names = _output_names([os.path.relpath(path, base) for path in files])
    return [Picture(Path(path), name) for path, name in zip(files, names)]


def _expand(argument: str, *, out: Path) -> Iterator[tuple[str, str]]:
    """Yield (folder from which names count, file), both absolute, for what an argument names."""
    path = os.path.abspath(argument)
    if os.path.isdir(path):
        yield from ((path, file) for file in _images_below(path, out=out))
    elif os.path.exists(path):
        yield os.path.dirname(path), path
    else:
        own = [os.path.join(folder, "") for folder in _own_folders(out)]
        for match in sorted(glob.glob(argument, recursive=True)):
            # "**" matches the folders as well as the files in them.
            if not os.path.isdir(match) and not os.path.realpath(match).startswith(tuple(own)):
                match = os.path.abspath(match)
                yield os.path.dirname(match), match


def _own_folders(out: Path) -> list[str]:
    """The folders that hold nothing but predictions."""
    return [os.path.realpath(out / name) for name in (LABELS, OVERLAYS)]


def _images_below(folder: str, *, out: Path) -> Iterator[str]:
    """Walk a folder, through symbolic links too, each real folder once."""
    seen = {os.path.realpath(out), *_own_folders(out)} - {os.path.realpath(folder)}
    for here, subfolders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(here)
        if real in seen:
            subfolders[:] = []
            continue
        seen.add(real)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and name.lower().endswith(SUFFIXES):
                yield os.path.join(here, name)


def _nothing_at(argument: str) -> str:
    if os.path.isdir(argument):
        return (
            f"{argument}: no images in this folder and its subfolders; looked for "
            f"{', '.join(SUFFIXES)}. Name files of other suffixes one by one, or by a glob."
        )
    if glob.has_magic(argument):
        return (
            f"{argument}: no file matches (looked in {os.getcwd()}; predictions are passed over)."
        )
    return f"{argument}: no such file or folder (looked in {os.getcwd()})."


def _output_names(paths: Sequence[str]) -> list[Path]:
    """Replace the suffixes, where the names stay apart without them, else add one."""
    stems = [os.path.splitext(path)[0] for path in paths]
    # Some file systems do not tell upper from lower case.
    count = Counter(stem.casefold() for stem in stems)
    # A folder may be called "a.png": no file beside it can be.
    folders = {str(folder).casefold() for path in paths for folder in Path(path).parents}
    crowded = {
        os.path.dirname(stem)
        for stem in stems
        if count[stem.casefold()] > 1 or f"{stem}.png".casefold() in folders
    }
    return [
        Path(f"{path if os.path.dirname(path) in crowded else stem}.png")
        for path, stem in zip(paths, stems)
    ]
