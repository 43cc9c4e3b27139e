"""Predict pictures: label maps in the data set's colours, and overlays to look at.

python tools/predict.py CONFIG CHECKPOINT photos "more/**/*.jpg" --out predictions
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Sequence

from mmseg_deeplab_ext.errors import DeepLabExtError, message_of
from mmseg_deeplab_ext.plugins import load_plugins

if TYPE_CHECKING:
    from mmseg_deeplab_ext.prediction import Report


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the arguments and predict; returns the exit status."""
    load_plugins()
    # Only now: without a sound environment these imports fail with a less helpful message.
    from mmseg_deeplab_ext.engine.launch import load_config
    from mmseg_deeplab_ext.prediction import PredictOptions, predict_files
    from mmseg_deeplab_ext.prediction.outputs import Outputs

    args = _parser().parse_args(argv)
    outputs = Outputs(args.out, overlay=args.overlay, opacity=args.opacity, overwrite=args.force)
    options = PredictOptions(args.mode, args.batch_size, args.device, args.amp)
    cfg = load_config(args.config, options=args.cfg_options)
    report = predict_files(cfg, args.checkpoint, args.images, outputs, options)
    _print(report, written=str(outputs))
    return 1 if report.failures else 0


def _print(report: Report, *, written: str) -> None:
    total = report.predicted + len(report.failures)
    rate = report.predicted / max(report.seconds, 1e-9)
    print(
        f"predicted: {report.predicted} of {total} images in {report.seconds:.1f} s "
        f"({rate:.3g} images/s on {report.device}), written to {written}"
    )
    if report.larger:
        height, width = report.crop
        print(
            f"larger than the config's crop of {height}x{width} (height x width) and predicted "
            f"whole: {len(report.larger)} of {total} images, such as {report.larger[0]}. "
            "--mode slide moves the crop over them, --mode resize shrinks them to fit it."
        )
    if report.failures:
        print(f"not predicted: {len(report.failures)} of {total} images", file=sys.stderr)
        for path, reason in report.failures.items():
            print(f"  {path}: {reason}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    from mmseg_deeplab_ext.engine.arguments import CfgOptions
    from mmseg_deeplab_ext.prediction.modes import MODES

    parser = argparse.ArgumentParser(
        description="Predict images. The exit status is 0 if all were predicted, 1 if some could "
        "not be read, or nothing was done because of an error."
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
    parser.add_argument("--force", action="store_true", help="overwrite existing files")
    parser.add_argument("--batch-size", type=int, default=1, help="images per forward pass")
    parser.add_argument("--amp", action="store_true", help="compute in half precision")
    parser.add_argument("--device", help="such as cpu or cuda:1; default: a GPU if there is one")
    parser.add_argument(
        "--mode",
        choices=MODES,
        help="images larger than the config's crop: whole, through a sliding window, or resized "
        "to fit; default: as the config's test_cfg says",
    )
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=CfgOptions,
        default={},
        metavar="KEY=VALUE",
        help='settings that replace the config\'s, such as model.test_cfg.stride="(257,257)"',
    )
    return parser


if __name__ == "__main__":
    try:
        sys.exit(main())
    except DeepLabExtError as error:
        sys.exit(f"{sys.argv[0]}: error: {message_of(error)}")
