"""Draw predictions beside the truth.

python tools/test.py CONFIG CHECKPOINT --work-dir WORK_DIR --out WORK_DIR/predictions
python tools/contact_sheet.py data/demo WORK_DIR/predictions --metrics WORK_DIR
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Sequence

from mmseg_deeplab_ext.errors import DeepLabExtError
from mmseg_deeplab_ext.visualization import (
    ClassColours,
    SampleFolders,
    contact_sheet,
    evenly_chosen,
    read_miou,
)


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Draw image, ground truth and prediction of some samples of a data set in the "
        "layout of Pascal VOC on one PNG picture, and print its path."
    )
    parser.add_argument("data_root", type=Path, help="data/demo, or data/VOCdevkit/VOC2012")
    parser.add_argument("predictions", type=Path, help="folder that tools/test.py --out filled")
    parser.add_argument(
        "--out", type=Path, help="picture to write (default: contact_sheet.png beside PREDICTIONS)"
    )
    parser.add_argument("--split", default="val", help="list of names (default: %(default)s)")
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
    args = parser.parse_args(arguments)
    if args.at_least is not None and args.metrics is None:
        parser.error("--at-least needs --metrics, which says where the mIoU is")
    return args


def read_classes(data_root: Path) -> ClassColours:
    """The classes of a demo data set are in its folder; other folders are taken for Pascal VOC."""
    marker = data_root / "demo.json"
    if marker.exists():
        content = json.loads(marker.read_text())
        return ClassColours(names=content["classes"], palette=content["palette"])
    from mmseg.utils import get_classes, get_palette

    return ClassColours(names=get_classes("voc12"), palette=get_palette("voc12"))


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the picture and print its path."""
    args = parse_args(arguments)
    out = args.out or args.predictions.parent / "contact_sheet.png"
    try:
        listed = args.data_root / "ImageSets/Segmentation" / f"{args.split}.txt"
        names = listed.read_text().split()
        miou = None if args.metrics is None else read_miou(args.metrics)
        miou_text = "" if miou is None else f"mIoU {miou:.1f} %"
        sheet = contact_sheet(
            evenly_chosen(names, args.samples),
            SampleFolders(
                images=args.data_root / "JPEGImages",
                labels=args.data_root / "SegmentationClass",
                predictions=args.predictions,
            ),
            classes=read_classes(args.data_root),
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
