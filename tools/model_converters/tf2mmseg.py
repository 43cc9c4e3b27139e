"""Turn a checkpoint of TensorFlow's DeepLab into a .pth, and a config that builds its network.

python tools/model_converters/tf2mmseg.py model.ckpt deeplab.pth --config-out deeplab.py
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Sequence

from mmseg_deeplab_ext.errors import DeepLabExtError, message_of
from mmseg_deeplab_ext.plugins import load_plugins


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the arguments and convert."""
    args = _parser().parse_args(argv)
    load_plugins()
    # Only now: without a sound environment these imports fail with a less helpful message.
    from mmseg_deeplab_ext.checkpoints.conversion import Outputs, convert, name_table
    from mmseg_deeplab_ext.checkpoints.convert import plan_conversion
    from mmseg_deeplab_ext.checkpoints.loader import open_address

    outputs = Outputs(args.out, args.config_out, overwrite=args.force)
    if not args.dry_run:
        outputs.check()
    checkpoint, options = open_address(args.source)
    options = {"ema": args.ema, "drop_logits": args.drop_logits, "ignore": args.ignore, **options}
    with checkpoint:
        plan = plan_conversion(checkpoint, **options)
        print(plan.report())
        if args.list:
            print("\n".join(name_table(checkpoint, plan)))
        convert(
            checkpoint,
            plan,
            outputs,
            dry_run=args.dry_run,
            ade150=args.ade150,
            output_stride=args.output_stride,
            dilations=args.dilations,
            multi_grid=args.multi_grid,
            crop_size=args.crop_size,
        )
    print("nothing written" if args.dry_run else f"written: {outputs}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Convert a TensorFlow DeepLab checkpoint")
    parser.add_argument(
        "source",
        help="prefix, .index file, folder or .tar.gz archive of a checkpoint, or tf-zoo://NAME",
    )
    parser.add_argument("out", type=Path, help="the .pth to write")
    parser.add_argument("--config-out", type=Path, metavar="OUT.py", help="a config to write")
    parser.add_argument(
        "--ema",
        choices=["auto", "always", "never"],
        default="auto",
        help="take moving averages instead of raw weights: auto (only where the raw ones are not "
        "complete), always, never",
    )
    parser.add_argument(
        "--drop-logits",
        action="store_true",
        help="leave out the last layer, to train another number of classes",
    )
    parser.add_argument(
        "--ade150",
        action="store_true",
        help="turn ADE20K's 151 channels into MMSegmentation's 150 classes: drop channel 0",
    )
    parser.add_argument(
        "--ignore", nargs="+", default=[], metavar="NAME", help="further variables to leave out"
    )
    parser.add_argument("--list", action="store_true", help="print every name, theirs and ours")
    parser.add_argument("--dry-run", action="store_true", help="check everything, write nothing")
    parser.add_argument("--force", action="store_true", help="overwrite existing files")
    config = parser.add_argument_group("what variables can't tell, for --config-out")
    config.add_argument("--output-stride", type=int, default=16, help="8, 16 (default) or 32")
    config.add_argument(
        "--dilations", type=int, nargs="+", help="1 and the atrous rates, such as 1 6 12 18"
    )
    config.add_argument("--multi-grid", type=int, nargs="+", help="such as 1 2 4")
    config.add_argument("--crop-size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"))
    return parser


if __name__ == "__main__":
    try:
        main()
    except DeepLabExtError as error:
        sys.exit(f"{sys.argv[0]}: error: {message_of(error)}")
