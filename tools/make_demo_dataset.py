"""Render the demo data set: ``python tools/make_demo_dataset.py data/demo``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Sequence

from mmseg_deeplab_ext.datasets.demo_dataset import DemoSpec, make_demo_dataset, remove_demo_dataset
from mmseg_deeplab_ext.errors import DeepLabExtError


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} scenes: at least 1 is needed")
    return value


def parse_args(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    default = DemoSpec()
    parser = argparse.ArgumentParser(
        description="Render a small segmentation data set in the layout of Pascal VOC. A finished "
        "one is left untouched, an interrupted one is completed."
    )
    parser.add_argument("out", type=Path, help="folder to make, for example data/demo")
    parser.add_argument("--train", type=_count, default=default.train, help="training scenes")
    parser.add_argument("--val", type=_count, default=default.val, help="held-out scenes")
    parser.add_argument("--seed", type=int, default=default.seed, help="another seed, other scenes")
    parser.add_argument(
        "--force", action="store_true", help="delete a demo data set that is there and start over"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Render the data set and say what was done."""
    args = parse_args(arguments)
    try:
        if args.force:
            remove_demo_dataset(args.out)
        spec = DemoSpec(train=args.train, val=args.val, seed=args.seed)
        rendered = make_demo_dataset(args.out, spec)
    except DeepLabExtError as error:
        sys.exit(f"error: {error}")
    done = f"rendered {rendered} scenes" if rendered else "finished already, left untouched"
    print(f"{args.out}: {done}; {args.train} to train on, {args.val} held out")


if __name__ == "__main__":
    main()
