"""Turn a checkpoint of TensorFlow's DeepLab into a .pth, and a config that builds its network.

python tools/model_converters/tf2mmseg.py model.ckpt deeplab.pth --config-out deeplab.py
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Sequence

from mmseg_deeplab_ext.errors import run_tool
from mmseg_deeplab_ext.plugins import load_plugins

# Arguments of network_config -> how the command line takes them.
_CONFIG_OPTIONS = {
    "output_stride": {"help": "4 (ResNets only), 8, 16 or 32; by default 16, for MobileNetV3 32"},
    "dilations": {"nargs": "+", "help": "1 and the atrous rates, such as 1 6 12 18"},
    "multi_grid": {"nargs": "+", "help": "of ResNets and Xceptions, such as 1 2 4"},
    "crop_size": {
        "nargs": 2,
        "metavar": ("HEIGHT", "WIDTH"),
        "help": "what whole images are padded to in the evaluation; by default the data set's "
        "(training crops are in the config)",
    },
}


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the arguments and convert."""
    parser = _parser()
    args = parser.parse_intermixed_args(argv)  # OUT.pth, which may be left out, after flags too
    config = {key: value for key, value in vars(args).items() if key in _CONFIG_OPTIONS}
    if config and not args.config_out:
        flags = ", ".join(f"--{key.replace('_', '-')}" for key in config)
        parser.error(f"{flags}: only with --config-out OUT.py, whose values they are")
    if not args.out and not args.dry_run and (args.config_out or not args.list):
        parser.error("name the .pth to write; only --list and --dry-run do without it")
    load_plugins()
    # Only now: without a sound environment these imports fail with a less helpful message.
    from mmseg_deeplab_ext.conversion.addresses import is_address, open_address
    from mmseg_deeplab_ext.conversion.from_tensorflow import plan_conversion
    from mmseg_deeplab_ext.conversion.to_mmseg import Outputs, convert, name_table
    from mmseg_deeplab_ext.errors import CheckpointError

    address, _, options = args.source.partition("?")
    if options and is_address(args.source):
        parser.error(f"{args.source}: give the options {options} as flags, after {address}")
    outputs = Outputs(args.out, args.config_out, overwrite=args.force)
    outputs.check()
    checkpoint, _ = open_address(args.source)
    with checkpoint:
        try:
            plan = plan_conversion(
                checkpoint,
                ema=args.ema,
                drop_logits=args.drop_logits,
                ignore=args.ignore,
                scope=args.scope,
            )
        except CheckpointError:
            if args.list:
                print("\n".join(name_table(checkpoint)), flush=True)  # before the error
            raise
        print(plan.report())
        if args.list:
            print("\n".join(name_table(checkpoint, plan)))
        convert(checkpoint, plan, outputs, dry_run=args.dry_run, ade150=args.ade150, **config)
    print("nothing written" if args.dry_run or not args.out else f"written: {outputs}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Convert a TensorFlow DeepLab checkpoint")
    parser.add_argument(
        "source",
        help="prefix, .index file, folder or .tar.gz archive of a checkpoint, a frozen graph .pb, "
        "or tf-zoo://NAME",
    )
    parser.add_argument(
        "out", type=Path, nargs="?", help="the .pth to write; not needed to --list or --dry-run"
    )
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
        "--ignore",
        nargs="+",
        default=[],
        metavar="NAME",
        help="further variables to leave out; SCOPE/ for all in a scope",
    )
    parser.add_argument(
        "--scope",
        action="append",
        default=[],
        metavar="OLD=NEW",
        help="what the file has in the scope OLD is officially in NEW (none: OLD=); for several "
        "scopes several times",
    )
    parser.add_argument("--list", action="store_true", help="print every name, theirs and ours")
    parser.add_argument("--dry-run", action="store_true", help="check everything, write nothing")
    parser.add_argument("--force", action="store_true", help="overwrite existing files")
    config = parser.add_argument_group("what variables can't tell, for --config-out")
    for key, option in _CONFIG_OPTIONS.items():
        flag = f"--{key.replace('_', '-')}"
        config.add_argument(flag, type=int, default=argparse.SUPPRESS, **option)
    return parser


if __name__ == "__main__":
    run_tool(main)
