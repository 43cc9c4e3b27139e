"""Train a segmentor: MMSegmentation's tools/train.py, for any number of processes, GPUs or none.

python tools/train.py configs/deeplabv3plus_r101beta_voc.py
tools/dist_train.sh configs/deeplabv3plus_r101beta_voc.py 8
"""

from __future__ import annotations

from typing import Sequence

from mmseg_deeplab_ext.errors import run_tool
from mmseg_deeplab_ext.plugins import load_plugins


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the arguments and train."""
    load_plugins()
    # Only now: without a sound environment these imports fail with a less helpful message.
    from mmseg_deeplab_ext.launch.arguments import common_parser, parse
    from mmseg_deeplab_ext.launch.config import load_config
    from mmseg_deeplab_ext.launch.runner import training_runner

    parser = common_parser("Train a segmentor")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on from the latest checkpoint in the work directory, if there is one",
    )
    parser.add_argument("--amp", action="store_true", help="train with automatic mixed precision")
    args = parse(parser, argv)
    cfg = load_config(
        args.config, launcher=args.launcher, options=args.cfg_options, work_dir=args.work_dir
    )
    runner = training_runner(
        cfg,
        options=args.cfg_options,
        amp=args.amp,
        resume=args.resume,
        every_label=args.check_labels,
    )
    runner.train()


if __name__ == "__main__":
    run_tool(main)
