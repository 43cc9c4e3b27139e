"""Draw predictions beside the truth.

python tools/test.py CONFIG CHECKPOINT --work-dir WORK_DIR --out WORK_DIR/predictions
python tools/contact_sheet.py WORK_DIR/predictions --config CONFIG --metrics WORK_DIR
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Sequence

from mmseg_deeplab_ext.errors import DatasetError, DeepLabExtError
from mmseg_deeplab_ext.plugins import load_plugins
from mmseg_deeplab_ext.visualization import (
    ClassColours,
    Sample,
    configured_samples,
    contact_sheet,
    evenly_chosen,
    read_miou,
)

# Pascal VOC 2012 names its pictures by year and number.
_VOC_NAME = re.compile(r"20(0[7-9]|1[0-2])_\d{6}")


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Draw image, ground truth and prediction of some samples on one PNG picture, "
        "and print its path. Samples and classes are those of a config's test data set, of the "
        "demo's, or of Pascal VOC 2012.",
    )
    parser.add_argument(
        "paths",
        type=Path,
        nargs="+",
        metavar="PATH",
        help="[DATA_ROOT] PREDICTIONS: data/demo, data/VOCdevkit/VOC2012, or where the config's "
        "data set is, if not where the config says; and the folder that tools/test.py --out filled",
    )
    parser.add_argument("--config", help="config whose test data set is shown")
    parser.add_argument(
        "--out", type=Path, help="picture to write (default: contact_sheet.png beside PREDICTIONS)"
    )
    parser.add_argument("--split", help="list of names, if there is no config (default: val)")
    parser.add_argument("--samples", type=int, default=8, help="default: %(default)s")
    parser.add_argument("--columns", type=int, default=2, help="samples per row, default 2")
    parser.add_argument(
        "--metrics", type=Path, help="work directory, or JSON file, with the mIoU for the title"
    )
    parser.add_argument(
        "--at-least",
        type=float,
        metavar="MIOU",
        help="lowest mIoU, in percent, that counts as success: below it the exit status is 1",
    )
    parser.add_argument("--title", default="", help="text for the title")
    args = parser.parse_intermixed_args(arguments)
    if not (1 if args.config else 2) <= len(args.paths) <= 2:
        parser.error("give DATA_ROOT and PREDICTIONS, or --config CONFIG and PREDICTIONS")
    *roots, args.predictions = args.paths
    args.data_root = roots[0] if roots else None
    if args.config and args.split:
        parser.error("--split is for data without a config: the config's test data set has a list")
    if args.at_least is not None and args.metrics is None:
        parser.error("--at-least needs --metrics, which says where the mIoU is")
    return args


def known_samples(
    root: Path, predictions: Path, *, split: str
) -> tuple[list[Sample], ClassColours]:
    """Samples and classes of the demo's data set, or of Pascal VOC 2012, from their folder."""
    listed = root / "ImageSets/Segmentation" / f"{split}.txt"
    marker = root / "demo.json"
    names = listed.read_text().split() if listed.is_file() else []
    if not names or not (marker.is_file() or all(map(_VOC_NAME.fullmatch, names))):
        raise DatasetError(
            f"{root} is neither the demo's data set nor Pascal VOC 2012 ({listed} is missing, or "
            "lists other pictures). To show another one, give --config CONFIG, whose test data set "
            "names files and classes"
        )
    images, labels = root / "JPEGImages", root / "SegmentationClass"
    samples = [Sample.of(images / f"{n}.jpg", labels / f"{n}.png", predictions) for n in names]
    if marker.is_file():
        content = json.loads(marker.read_text())
        return samples, ClassColours(names=content["classes"], palette=content["palette"])
    from mmseg.utils import get_classes, get_palette

    return samples, ClassColours(names=get_classes("voc12"), palette=get_palette("voc12"))


def samples_of(args: argparse.Namespace) -> tuple[list[Sample], ClassColours]:
    """What the command line asks to show: all samples, and the classes."""
    if args.config is None:
        return known_samples(args.data_root, args.predictions, split=args.split or "val")
    load_plugins()
    from mmseg_deeplab_ext.config_view import ConfigView
    from mmseg_deeplab_ext.launch.checks.dataset_files import problems_of_files
    from mmseg_deeplab_ext.launch.config import load_config

    view = ConfigView.of(load_config(args.config), splits=["test"])
    if args.data_root is not None:
        moved = {"data_root": str(args.data_root)}
        datasets = [replace(each, config={**each.config, **moved}) for each in view.datasets]
        view = replace(view, datasets=tuple(datasets))
    problems = list(problems_of_files(view))
    if problems:
        raise DatasetError("\n".join(problems))
    return configured_samples(view.datasets, args.predictions)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the picture and print its path."""
    args = parse_args(arguments)
    out = args.out or args.predictions.parent / "contact_sheet.png"
    try:
        samples, classes = samples_of(args)
        miou = None if args.metrics is None else read_miou(args.metrics)
        miou_text = "" if miou is None else f"mIoU {miou:.1f} %"
        sheet = contact_sheet(
            evenly_chosen(samples, args.samples),
            classes=classes,
            title=", ".join(part for part in (args.title, miou_text) if part),
            columns=args.columns,
        )
    except (DeepLabExtError, OSError) as error:
        sys.exit(f"error: {error}")
    out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(out, optimize=True)
    print(f"{out}" + (f" ({miou_text})" if miou_text else ""))
    if args.at_least is not None and not miou >= args.at_least:  # not: nor is NaN enough
        sys.exit(f"error: the mIoU is {miou:.2f} %, expected were at least {args.at_least:g} %")


if __name__ == "__main__":
    main()
