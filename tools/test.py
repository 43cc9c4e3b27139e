"""Evaluate a segmentor: MMSegmentation's tools/test.py, for any number of processes, GPUs or none.

python tools/test.py CONFIG CHECKPOINT --show-dir pictures
tools/dist_test.sh CONFIG CHECKPOINT 8
"""

from __future__ import annotations

from typing import Sequence

from mmseg_deeplab_ext.errors import run_tool
from mmseg_deeplab_ext.plugins import load_plugins


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the arguments and evaluate."""
    load_plugins()
    # Only now: without a sound environment these imports fail with a less helpful message.
    from mmseg_deeplab_ext.launch.adapt.outputs import draw_predictions
    from mmseg_deeplab_ext.launch.arguments import add_optimise, common_parser, parse
    from mmseg_deeplab_ext.launch.config import load_config
    from mmseg_deeplab_ext.launch.runner import evaluation_runner

    parser = common_parser("Evaluate a segmentor on the test split")
    parser.add_argument("checkpoint", help=".pth file, tf://PATH or tf-zoo://NAME")
    parser.add_argument("--out", help="directory for the predicted labels, one PNG per image")
    parser.add_argument("--show", action="store_true", help="show every prediction in a window")
    parser.add_argument("--show-dir", help="directory for the images painted with the predictions")
    parser.add_argument("--wait-time", type=float, default=2, help="seconds per window of --show")
    parser.add_argument("--tta", action="store_true", help="test-time augmentation")
    add_optimise(parser)
    args = parse(parser, argv)
    cfg = load_config(
        args.config, launcher=args.launcher, options=args.cfg_options, work_dir=args.work_dir
    )
    if args.show or args.show_dir:
        draw_predictions(cfg, show=args.show, wait_time=args.wait_time, directory=args.show_dir)
    runner = evaluation_runner(
        cfg,
        checkpoint=args.checkpoint,
        out=args.out,
        tta=args.tta,
        optimise=args.optimise,
        dtype=args.dtype,
        every_label=args.check_labels,
    )
    runner.test()


if __name__ == "__main__":
    run_tool(main)
