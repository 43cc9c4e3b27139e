"""The labels of the Semantic Boundaries Dataset (SBD), from MATLAB files to palette PNG files."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path, PurePosixPath

import numpy as np

from mmseg_deeplab_ext.datasets.label_png import encode_label_png, voc_colormap
from mmseg_deeplab_ext.errors import DatasetError, EnvironmentNotReadyError
from mmseg_deeplab_ext.progress import ProgressLine

_LABELS = PurePosixPath("benchmark_RELEASE/dataset/cls")
_LISTS = {PurePosixPath("benchmark_RELEASE/dataset") / f"{name}.txt" for name in ("train", "val")}
_MAX_LABEL = 20
"""SBD labels VOC's 20 object classes and the background, 0."""


def convert_sbd(archive: Path, into: Path) -> set[str]:
    """Write the category labels of all images of SBD as palette PNG files.

    The archive is read once, front to back, and not unpacked: of its 1.4 GB only the labels are
    needed, since the images are Pascal VOC's.

    Returns the names of the images in SBD's own train and val lists together.
    """
    colours = voc_colormap()
    names: dict[PurePosixPath, set[str]] = {}
    total = (archive.stat().st_size >> 20) + 1
    progress = ProgressLine(f"converting {archive.name}", total=total, unit="MB")
    try:
        with archive.open("rb") as stream, tarfile.open(fileobj=stream, mode="r|*") as tar:
            for member in tar:
                progress.reach(stream.tell() >> 20)
                path = PurePosixPath(member.name)
                if path in _LISTS:
                    names[path] = set(tar.extractfile(member).read().decode().split())
                elif _is_label(path) and member.isfile():
                    label = _read_label(tar.extractfile(member).read(), member.name)
                    (into / f"{path.stem}.png").write_bytes(encode_label_png(label, colours))
    except (tarfile.TarError, EOFError, OSError) as error:
        raise DatasetError(f"{archive} can't be read as an archive ({error}).") from error
    progress.reach(total)
    if set(names) != _LISTS:
        absent = ", ".join(sorted(str(path) for path in _LISTS - set(names)))
        raise DatasetError(f"{archive} is not the archive of SBD: it lacks {absent}.")
    return set().union(*names.values())


def _is_label(path: PurePosixPath) -> bool:
    # Hidden files ("._name") are what some systems add when they pack a folder.
    return path.parent == _LABELS and path.suffix == ".mat" and not path.name.startswith(".")


def _read_label(content: bytes, name: str) -> np.ndarray:
    """Read ``GTcls.Segmentation`` of a MATLAB file: (height, width), uint8."""
    try:
        from scipy.io import loadmat
        from scipy.io.matlab import MatReadError
    except ImportError as error:
        raise EnvironmentNotReadyError(
            'reading SBD\'s labels needs SciPy: pip install "mmseg-deeplab-ext[data]"'
        ) from error
    try:
        struct = loadmat(io.BytesIO(content), variable_names=["GTcls"])["GTcls"]
        label = np.asarray(struct[0]["Segmentation"][0])
    except (MatReadError, ValueError, KeyError, IndexError, TypeError, OSError) as error:
        raise DatasetError(f"{name} has no label map GTcls.Segmentation ({error!r}).") from error
    if label.ndim != 2 or label.dtype.kind not in "ui" or label.min() < 0:
        raise DatasetError(f"{name}: the label map has shape {label.shape}, type {label.dtype}.")
    if label.max() > _MAX_LABEL:
        raise DatasetError(f"{name}: label {label.max()}; SBD's labels go from 0 to {_MAX_LABEL}.")
    return label.astype(np.uint8)
