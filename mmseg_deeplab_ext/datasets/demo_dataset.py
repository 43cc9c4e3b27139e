"""The demo data set on disk: rendered scenes in the layout of Pascal VOC, with no download.

`make_demo_dataset` can be killed at any time and called again: every file appears whole or not at
all, the lists of names come after all the files they name, and the marker comes last.
"""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from mmseg_deeplab_ext.atomic_files import remove_leftovers, write_atomically
from mmseg_deeplab_ext.datasets.demo_scenes import DEMO_CLASSES, DEMO_PALETTE, render_scene
from mmseg_deeplab_ext.datasets.label_png import encode_label_png, voc_colormap
from mmseg_deeplab_ext.errors import DatasetError
from mmseg_deeplab_ext.progress import ProgressLine

MARKER = "demo.json"
"""Written last: what the folder holds. A folder with this file is one of ours and finished."""

IMAGES, LABELS, LISTS = "JPEGImages", "SegmentationClass", "ImageSets/Segmentation"
"""Pascal VOC's folders."""

GENERATOR = 1
"""Raised by every change that alters the scenes, so that old and new scenes are never mixed."""

_STARTED = ".demo_started.json"
"""Written first: the folder is one of ours, but not finished while `MARKER` is absent."""


@dataclass(frozen=True)
class DemoSpec:
    """What a demo data set consists of.

    Attributes:
        train: Number of training scenes.
        val: Number of held-out scenes.
        seed: Seed of all scenes.
        generator: Version of the renderer.
    """

    train: int = 400
    val: int = 60
    seed: int = 0
    generator: int = GENERATOR

    def names(self) -> dict[str, list[str]]:
        """File names without suffix, by split; the number in a name is the scene's."""
        return {
            "train": [f"scene_{number:05d}" for number in range(self.train)],
            "val": [f"scene_{number:05d}" for number in range(self.train, self.train + self.val)],
        }


def _read_spec(marker: Path) -> DemoSpec | None:
    """The specification in a marker file; None where there is no such file."""
    if not marker.exists():
        return None
    try:
        return DemoSpec(**json.loads(marker.read_text())["spec"])
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"{marker} does not describe a demo data set ({error!r}): delete the folder "
            f"{marker.parent} if it is of no use to you, or choose another one."
        ) from error


def _refuse_foreign_folder(out: Path, spec: DemoSpec) -> None:
    """Raise unless the folder is absent, empty, or one of ours made to the same specification."""
    if out.exists() and not out.is_dir():
        raise DatasetError(f"{out} is a file; the demo data set needs a folder.")
    if not out.exists() or not any(out.iterdir()):
        return
    found = _read_spec(out / MARKER) or _read_spec(out / _STARTED)
    if found is None:
        raise DatasetError(
            f"{out} holds files that are not a demo data set; nothing was written. "
            "Choose another folder, or empty this one yourself."
        )
    if found != spec:
        raise DatasetError(
            f"{out} holds a demo data set made with {found}, not with {spec}; nothing was written. "
            "Choose another folder, or replace this one with --force."
        )


def remove_demo_dataset(out: Path) -> None:
    """Delete the folder of a demo data set, finished or not; nothing happens where there is none.

    Raises:
        DatasetError: The folder is not one of a demo data set, or holds other files too; nothing
            was deleted.
    """
    if not out.exists():
        return
    ours = {MARKER, _STARTED, IMAGES, LABELS, LISTS.split("/")[0]}
    present = {path.name for path in out.iterdir()}
    if not present & {MARKER, _STARTED}:
        raise DatasetError(f"{out} is not the folder of a demo data set; nothing was deleted.")
    if present - ours:
        others = ", ".join(sorted(present - ours))
        raise DatasetError(f"{out} holds other files too ({others}); nothing was deleted.")
    shutil.rmtree(out)


def _missing(out: Path, name: str) -> bool:
    """Whether a scene's image or label is absent."""
    return not ((out / IMAGES / f"{name}.jpg").exists() and (out / LABELS / f"{name}.png").exists())


def _write_scene(out: Path, name: str, spec: DemoSpec) -> None:
    scene = render_scene(int(name.rsplit("_", 1)[1]), seed=spec.seed)
    with io.BytesIO() as buffer:
        Image.fromarray(scene.image).save(buffer, "JPEG", quality=88)
        write_atomically(out / IMAGES / f"{name}.jpg", buffer.getvalue())
    colours = voc_colormap()  # outlines keep Pascal VOC's
    colours[: len(DEMO_PALETTE)] = DEMO_PALETTE
    write_atomically(out / LABELS / f"{name}.png", encode_label_png(scene.label, colours))


def make_demo_dataset(out: Path, spec: DemoSpec | None = None) -> int:
    """Render a demo data set, or what is missing of one; a finished one is left untouched.

    Args:
        out: The folder: absent, empty, or holding a demo data set of the same specification.
        spec: What to render; the default `DemoSpec` when not given.

    Returns:
        How many scenes were rendered: 0 where the data set was finished already.

    Raises:
        DatasetError: The folder holds something else; it is left as it was.
    """
    spec = spec or DemoSpec()
    _refuse_foreign_folder(out, spec)
    splits = spec.names()
    todo = [name for names in splits.values() for name in names if _missing(out, name)]
    lists = {out / LISTS / f"{split}.txt": names for split, names in splits.items()}
    if not todo and (out / MARKER).exists() and all(path.exists() for path in lists):
        return 0
    for folder in (IMAGES, LABELS, LISTS):
        (out / folder).mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {"spec": asdict(spec)}
    write_atomically(out / _STARTED, json.dumps(content).encode())
    progress = ProgressLine("rendering", total=len(todo), unit="scenes")
    for name in todo:
        _write_scene(out, name, spec)
        progress.advance()
    for path, names in lists.items():
        write_atomically(path, "".join(f"{name}\n" for name in names).encode())
    content.update(classes=DEMO_CLASSES, palette=DEMO_PALETTE)
    write_atomically(out / MARKER, json.dumps(content, indent=1).encode())
    (out / _STARTED).unlink()
    for folder in (out, *(out / name for name in (IMAGES, LABELS, LISTS))):
        remove_leftovers(folder)  # of programs that were killed
    return len(todo)
