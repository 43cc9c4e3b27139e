"""Bring Pascal VOC 2012 and the Semantic Boundaries Dataset into MMSegmentation's layout.

The layout that `PascalVOCDataset` and MMSegmentation's ``pascal_voc12_aug.py`` read::

    VOC2012/JPEGImages/*.jpg
    VOC2012/SegmentationClass/*.png            labels of Pascal VOC
    VOC2012/SegmentationClassAug/*.png         labels of the Semantic Boundaries Dataset (SBD)
    VOC2012/ImageSets/Segmentation/{train,val,trainval,aug}.txt

Addresses and digests: VOC's is the one its administrator gave in
https://github.com/pytorch/vision/pull/9216 (``host.robots.ox.ac.uk`` redirects there); the digests
and SBD's address are those of torchvision (``torchvision/datasets/voc.py`` and ``sbd.py``).
"""

from __future__ import annotations

import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Iterable

from mmseg_deeplab_ext.atomic_files import folder_made_whole, write_atomically
from mmseg_deeplab_ext.datasets.download import md5_archive
from mmseg_deeplab_ext.datasets.sbd import convert_sbd
from mmseg_deeplab_ext.download import RemoteFile, fetch
from mmseg_deeplab_ext.errors import DatasetError
from mmseg_deeplab_ext.progress import ProgressLine
from mmseg_deeplab_ext.wording import listed

VOC_ARCHIVE = md5_archive(
    name="VOCtrainval_11-May-2012.tar",
    url="https://thor.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
    md5="6cd6e144f989b92b3379bac3b3de84fd",
)
SBD_ARCHIVE = md5_archive(
    name="benchmark.tgz",
    url="https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/semantic_contours/"
    "benchmark.tgz",
    md5="82b4d87ceb2ed10f6038a1cba92111cb",
)

OFFICIAL_COUNTS = {"train": 1464, "val": 1449, "trainval": 2913, "aug": 9118}
"""Images per list.

1,464 + 9,118 = 10,582 images are the "train_aug" of the DeepLab papers; MMSegmentation's
``voc_aug.py`` asserts the same."""

_IMAGES, _LABELS, _AUG_LABELS = "JPEGImages", "SegmentationClass", "SegmentationClassAug"
_LISTS = "ImageSets/Segmentation"
_FOLDER = "VOC2012"


@dataclass(frozen=True)
class VocReport:
    """What `prepare_voc` found and did.

    Attributes:
        folder: The VOC2012 folder.
        counts: Images per list; every one has its label.
        done: What was done or found done, one sentence each.
    """

    folder: Path
    counts: dict[str, int]
    done: tuple[str, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """One sentence for every list whose length is not the official one."""
        return tuple(
            f"{name}.txt lists {count} images; the official one lists {OFFICIAL_COUNTS[name]}"
            for name, count in self.counts.items()
            if count != OFFICIAL_COUNTS[name]
        )


def prepare_voc(
    root: Path,
    *,
    augmented: bool = True,
    archives: Path | None = None,
    voc: RemoteFile = VOC_ARCHIVE,
    sbd: RemoteFile = SBD_ARCHIVE,
) -> VocReport:
    """Make what is missing of ``root/VOC2012``; what is there is checked and left untouched.

    Args:
        root: The folder ``VOCdevkit``.
        augmented: Whether to add SBD's labels and ``aug.txt``.
        archives: Where the downloaded archives are, or are put; ``root`` when not given.
        voc: The archive of Pascal VOC 2012.
        sbd: The archive of SBD.

    Returns:
        What was found and done.

    Raises:
        DatasetError: A download failed, an archive is not the expected one, or a folder is there
            but incomplete; nothing half-made is left in either case.
        EnvironmentNotReadyError: A package that is needed for a missing part is not installed.
    """
    if root.name == _FOLDER:
        raise DatasetError(
            f"{root}: give the folder that holds {_FOLDER} (usually VOCdevkit): {root.parent}"
        )
    archives = root if archives is None else archives
    folder = root / _FOLDER
    done = [_prepare_base(folder, archives=archives, archive=voc)]
    if augmented:
        done.append(_prepare_augmented(folder, archives=archives, archive=sbd))
    lists = {name: _list_file(folder, name) for name in OFFICIAL_COUNTS}
    if not augmented:
        del lists["aug"]
    counts = {name: len(read_list(path)) for name, path in lists.items() if path.exists()}
    return VocReport(folder=folder, counts=counts, done=tuple(done))


def read_list(path: Path) -> list[str]:
    """Read the names in a list of a split."""
    if not path.exists():
        raise DatasetError(f"the list {path} is missing.")
    return [line.strip() for line in path.read_text().splitlines() if line.strip()]


def _list_file(folder: Path, name: str) -> Path:
    return folder / _LISTS / f"{name}.txt"


def _prepare_base(folder: Path, *, archives: Path, archive: RemoteFile) -> str:
    if _is_there(folder):
        _demand_complete(folder, splits=("train", "val"), labels=_LABELS)
        return f"{folder} was there and complete; left untouched"
    path = fetch(archive, archives)
    with folder_made_whole(folder) as temporary:
        _extract(path, PurePosixPath("VOCdevkit", _FOLDER), temporary)
        _demand_complete(temporary, splits=("train", "val"), labels=_LABELS)
    return f"{folder} was extracted from {path}"


def _prepare_augmented(folder: Path, *, archives: Path, archive: RemoteFile) -> str:
    labels = folder / _AUG_LABELS
    if _is_there(labels):
        _demand_complete(folder, splits=("aug",), labels=_AUG_LABELS)
        return f"{labels} and aug.txt were there and complete; left untouched"
    path = fetch(archive, archives)
    with folder_made_whole(labels) as temporary:
        in_voc = (read_list(_list_file(folder, split)) for split in ("train", "val"))
        names = sorted(convert_sbd(path, temporary).difference(*in_voc))
        _demand_files((temporary / f"{name}.png" for name in names), what=f"{path} lacks labels")
        images = (folder / _IMAGES / f"{name}.jpg" for name in names)
        _demand_files(images, what=f"{folder} lacks images that SBD labels")
        _write_aug_list(_list_file(folder, "aug"), names)
    return f"{labels} and aug.txt were made from {path}"


def _write_aug_list(path: Path, names: list[str]) -> None:
    """Write the list, before its labels get their name: where the labels are, the list is."""
    if path.exists() and set(read_list(path)) != set(names):
        raise DatasetError(
            f"{path} is there already and lists other images than SBD's train and val without "
            "VOC's train and val. It was left as it is; move it away and run again."
        )
    write_atomically(path, "".join(f"{name}\n" for name in names).encode())


def _is_there(folder: Path) -> bool:
    return folder.exists() and any(folder.iterdir())


def _demand_complete(folder: Path, *, splits: tuple[str, ...], labels: str) -> None:
    """Demand the lists, and every image and label they name."""
    for split in splits:
        names = read_list(_list_file(folder, split))
        if not names:
            raise DatasetError(f"the list {_list_file(folder, split)} is empty.")
        files = [folder / _IMAGES / f"{name}.jpg" for name in names]
        files += [folder / labels / f"{name}.png" for name in names]
        fault = f"{folder} is incomplete: {split}.txt names files that are missing"
        _demand_files(files, what=fault)


def _demand_files(files: Iterable[Path], *, what: str) -> None:
    missing = [str(file) for file in files if not file.exists()]
    if missing:
        raise DatasetError(
            f"{what}: {listed(missing, most=5)}. Nothing was changed. Complete the folder, or move "
            "it away and run again to have it made anew."
        )


def _extract(archive: Path, prefix: PurePosixPath, into: Path) -> None:
    """Extract the part of a tar file below ``prefix``: plain files and folders only."""
    total = (archive.stat().st_size >> 20) + 1
    progress = ProgressLine(f"extracting {archive.name}", total=total, unit="MB")
    with tarfile.open(archive) as tar:
        for member in tar:
            progress.reach(member.offset >> 20)
            target = _target(member, prefix, into)
            if target is None:
                continue
            folder = target if member.isdir() else target.parent
            folder.mkdir(parents=True, exist_ok=True)
            if member.isfile():
                with tar.extractfile(member) as source, target.open("wb") as copy:
                    shutil.copyfileobj(source, copy)
    progress.reach(total)


def _target(member: tarfile.TarInfo, prefix: PurePosixPath, into: Path) -> Path | None:
    """Where a member goes; None where it lies outside ``prefix``."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or not (member.isfile() or member.isdir()):
        raise DatasetError(
            f"the archive holds {member.name!r}, which is a link, a device, or a path that leads "
            "out of the archive; it is not the expected one and was not extracted."
        )
    if prefix != path and prefix not in path.parents:
        return None
    return into / path.relative_to(prefix)
