"""Predict pictures: label maps in the data set's colours, and overlays to look at.

python tools/predict.py CONFIG CHECKPOINT photos "more/**/*.jpg" --out predictions
tools/dist_predict.sh CONFIG CHECKPOINT 8 photos "more/**/*.jpg" --out predictions
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Sequence

from mmseg_deeplab_ext.errors import run_tool
from mmseg_deeplab_ext.plugins import load_plugins

if TYPE_CHECKING:
    from mmseg_deeplab_ext.prediction import Report
    from mmseg_deeplab_ext.prediction.outputs import Outputs


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the arguments and predict; returns the exit status."""
    load_plugins()
    # Only now: without a sound environment these imports fail with a less helpful message.
    from mmseg_deeplab_ext.conversion.plain_loading import trust_checkpoints
    from mmseg_deeplab_ext.launch.config import load_config
    from mmseg_deeplab_ext.prediction import PredictOptions, Report, predict_files
    from mmseg_deeplab_ext.prediction.outputs import Outputs

    args = _parser().parse_args(argv)
    trust_checkpoints(args.trust_checkpoint)
    outputs = Outputs(args.out, args.overlay, opacity=args.opacity, existing=args.existing)
    options = PredictOptions(
        args.mode,
        args.batch_size,
        args.device,
        args.amp,
        args.launcher,
        args.optimise,
        args.dtype,
    )
    cfg = load_config(args.config, options=args.cfg_options)
    report = Report()
    try:
        predict_files(cfg, args.checkpoint, args.images, outputs, options, report)
    finally:
        if report.total:  # else an error came before the work, or the first process reports
            _print(report, outputs)
    return 1 if report.failures else 0


def _print(report: Report, outputs: Outputs) -> None:
    total = report.total
    rate = report.predicted / max(report.seconds, 1e-9)
    print(
        f"predicted: {report.predicted} of {total} images in {report.seconds:.1f} s "
        f"({rate:.3g} images/s on {report.device}), written to {outputs}"
    )
    if report.passed_over:
        print(f"passed over, their files are there: {report.passed_over} of {total} images")
    if report.larger and report.crop:
        height, width = report.crop
        print(
            f"larger than the config's crop of {height}x{width} (height x width) and predicted "
            f"whole: {report.larger} of {total} images, such as {report.larger_example}. "
            "--mode slide moves the crop over them, --mode resize shrinks them to fit it."
        )
    if report.failures:
        print(f"not predicted: {len(report.failures)} of {total} images", file=sys.stderr)
        for path, reason in report.failures.items():
            print(f"  {path}: {reason}", file=sys.stderr)
    if report.not_reached:
        # Where files were replaced, old ones would pass for new ones.
        way = "" if outputs.existing == "replace" else "; --skip-existing goes on with them"
        print(f"not reached: {report.not_reached} of {total} images{way}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    from mmseg_deeplab_ext.launch.arguments import (
        add_cfg_options,
        add_launcher,
        add_optimise,
        add_trust_checkpoint,
    )
    from mmseg_deeplab_ext.prediction.modes import MODES

    parser = argparse.ArgumentParser(
        description="Predict images. The exit status is 0 if all were predicted, 1 if some could "
        "not be (they are listed), or nothing was done because of an error."
    )
    parser.add_argument("config", help="config file (.py, .yml, .json)")
    parser.add_argument("checkpoint", help=".pth file, tf://PATH or tf-zoo://NAME")
    parser.add_argument(
        "images", nargs="+", help="files, folders (with their subfolders) or quoted globs"
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="folder that gets labels/ and overlays/"
    )
    parser.add_argument(
        "--no-overlay", dest="overlay", action="store_false", help="write label maps only"
    )
    parser.add_argument(
        "--opacity", type=float, default=0.5, help="of the colours in overlays, 0 to 1"
    )
    _add_existing(parser)
    parser.add_argument("--batch-size", type=int, default=1, help="images per forward pass")
    parser.add_argument("--amp", action="store_true", help="compute in half precision")
    parser.add_argument("--device", help="such as cpu or cuda:1; default: a GPU if there is one")
    parser.add_argument(
        "--mode",
        choices=MODES,
        help="images larger than the config's crop: whole, through a sliding window, or resized "
        "to fit; default: as the config's test_cfg says",
    )
    add_launcher(parser)
    add_optimise(parser)
    add_trust_checkpoint(parser)
    add_cfg_options(parser, example='model.test_cfg.stride="(257,257)"')
    return parser


def _add_existing(parser: argparse.ArgumentParser) -> None:
    choice = parser.add_mutually_exclusive_group()
    for option, value, text in (
        ("--force", "replace", "overwrite existing files"),
        ("--skip-existing", "skip", "pass over images all of whose files are there"),
    ):
        choice.add_argument(
            option, dest="existing", action="store_const", const=value, default="refuse", help=text
        )


if __name__ == "__main__":
    # Launchers end the other processes so, when one has died; what was done is printed then, too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        run_tool(main)
    except KeyboardInterrupt:
        sys.exit(130)  # as shells say it; what was done is printed
