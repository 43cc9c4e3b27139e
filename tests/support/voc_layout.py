"""Tiny data sets in the layout of Pascal VOC."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def write_sample(root: Path, name: str, *, labels: str = "SegmentationClass") -> None:
    """Write an image of 12 x 9 pixels with labels 0 to 2 and an ignored row."""
    for folder in ("JPEGImages", labels):
        (root / folder).mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)
    Image.fromarray(image).save(root / "JPEGImages" / f"{name}.jpg")
    label = rng.integers(0, 3, (9, 12), dtype=np.uint8)
    label[4] = 255
    Image.fromarray(label).save(root / labels / f"{name}.png")


def write_list(root: Path, split: str, names: list[str]) -> None:
    """Write the list of a split."""
    folder = root / "ImageSets/Segmentation"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))


def write_voc_folder(root: Path) -> Path:
    """Write two training images (a, b), one for validation (c) and one that SBD labels (d)."""
    for name in ("a", "b", "c"):
        write_sample(root, name)
    write_sample(root, "d", labels="SegmentationClassAug")
    write_list(root, "train", ["a", "b"])
    write_list(root, "val", ["c"])
    write_list(root, "trainval", ["a", "b", "c"])
    write_list(root, "aug", ["d"])
    return root


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of last change of everything below a folder."""
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
    }
