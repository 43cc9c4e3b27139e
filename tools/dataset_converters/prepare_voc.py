"""Get VOC 2012 and SBD: ``python tools/dataset_converters/prepare_voc.py data/VOCdevkit``."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Sequence

from mmseg_deeplab_ext.datasets.voc import SBD_ARCHIVE, VOC_ARCHIVE, VocReport, prepare_voc
from mmseg_deeplab_ext.errors import DeepLabExtError


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Bring Pascal VOC 2012 and the labels of the Semantic Boundaries Dataset into "
        "the layout that MMSegmentation reads. What is there is checked and left untouched; "
        "what is missing is downloaded (1.9 GB and 1.4 GB) unless the archives are there."
    )
    parser.add_argument(
        "data_root",
        nargs="?",
        type=Path,
        default=Path("data/VOCdevkit"),
        help="folder that holds, or gets, VOC2012 (default: %(default)s)",
    )
    parser.add_argument(
        "--no-aug", action="store_true", help="without SBD: train on VOC's own 1,464 images"
    )
    parser.add_argument(
        "--archives",
        type=Path,
        help="folder with the downloaded archives, or for them (default: DATA_ROOT)",
    )
    parser.add_argument("--voc-url", default=VOC_ARCHIVE.url, help="default: %(default)s")
    parser.add_argument("--sbd-url", default=SBD_ARCHIVE.url, help="default: %(default)s")
    return parser.parse_args(arguments)


def describe(report: VocReport) -> str:
    """Put a report into words."""
    lines = [*report.done, "images with labels:"]
    lines += [f"  {name:8s} {count:6d}" for name, count in report.counts.items()]
    if "aug" in report.counts:
        total = report.counts["train"] + report.counts["aug"]
        lines.append(f"  train and aug together, the VOCaug training set: {total}")
    lines += [f"warning: {warning}" for warning in report.warnings]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Prepare the data and say what was found and done."""
    args = parse_args(arguments)
    try:
        report = prepare_voc(
            args.data_root,
            augmented=not args.no_aug,
            archives=args.archives,
            voc=replace(VOC_ARCHIVE, url=args.voc_url),
            sbd=replace(SBD_ARCHIVE, url=args.sbd_url),
        )
    except (DeepLabExtError, OSError) as error:
        sys.exit(f"error: {error}")
    print(describe(report))


if __name__ == "__main__":
    main()
