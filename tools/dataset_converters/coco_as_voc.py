"""Make VOC's labels of COCO: ``python tools/dataset_converters/coco_as_voc.py data/coco``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Sequence

from mmseg_deeplab_ext.datasets.coco_as_voc import CocoReport, convert_coco
from mmseg_deeplab_ext.errors import DeepLabExtError


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Draw COCO's instances of Pascal VOC's 20 classes as label maps, in the folder "
        "voc_labels beside COCO's images and annotations. What is there is left untouched; an "
        "interrupted conversion goes on."
    )
    parser.add_argument(
        "data_root",
        nargs="?",
        type=Path,
        default=Path("data/coco"),
        help="folder with annotations/instances_SPLIT.json and SPLIT/*.jpg (default: %(default)s)",
    )
    parser.add_argument("--split", default="train2017", help="default: %(default)s")
    return parser.parse_args(arguments)


def describe(report: CocoReport) -> str:
    """Put a report into words."""
    done = f"{report.names} and the label maps of its {report.converted} images"
    if report.left_out is None:
        return f"{done} were there and complete; left untouched"
    return f"{done} were made; {report.left_out} images without enough of VOC's classes left out"


def main(arguments: Sequence[str] | None = None) -> None:
    """Convert the split and say what was found and done."""
    args = parse_args(arguments)
    try:
        report = convert_coco(args.data_root, split=args.split)
    except (DeepLabExtError, OSError) as error:
        sys.exit(f"error: {error}")
    print(describe(report))


if __name__ == "__main__":
    main()
