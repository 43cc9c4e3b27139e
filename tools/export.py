"""Write a segmentor as an ONNX file: an image of any size in, its labels out.

python tools/export.py CONFIG CHECKPOINT OUT.onnx
python tools/export.py CONFIG CHECKPOINT OUT.onnx --dynamic --probabilities
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Sequence

from mmseg_deeplab_ext.errors import run_tool
from mmseg_deeplab_ext.plugins import load_plugins

if TYPE_CHECKING:
    from mmseg_deeplab_ext.export import Exported

_SELDOM_CLEAR = 0.5
"""Below this share of pixels with a clear class, the equal labels of the rest prove little."""


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the arguments and export."""
    load_plugins()
    # Only now: without a sound environment these imports fail with a less helpful message.
    from mmseg_deeplab_ext.conversion.plain_loading import trust_checkpoints
    from mmseg_deeplab_ext.export import ResizeRange, export_onnx
    from mmseg_deeplab_ext.launch.config import load_config

    parser = _parser()
    args = parser.parse_args(argv)
    trust_checkpoints(args.trust_checkpoint)
    resize = None
    if args.min_resize_value is not None:
        resize = ResizeRange(args.min_resize_value, args.max_resize_value, args.resize_factor)
    elif args.max_resize_value is not None or args.resize_factor is not None:
        parser.error("--max-resize-value and --resize-factor need --min-resize-value")
    exported = export_onnx(
        load_config(args.config, options=args.cfg_options),
        args.checkpoint,
        args.out,
        crop_size=args.crop_size and tuple(args.crop_size),
        dynamic=args.dynamic,
        resize=resize,
        keep_size=args.keep_size,
        probabilities=args.probabilities,
        overwrite=args.force,
    )
    print("\n".join([f"{args.out}: written", *_lines(exported)]))


def _lines(exported: Exported) -> list[str]:
    """What to tell of an export."""
    crop, resize = exported.crop_size, exported.resize
    lines = [] if resize is None else [f"every image is resized first, {resize}"]
    images = "images" if resize is None else "the resized images"
    if crop is None:
        lines.append(f"{images} run at their own size")
    elif resize and resize.max_size and resize.max_size <= min(crop):
        lines.append(f"{images} are padded to {crop[0]} x {crop[1]}")
    else:
        lines.append(f"{images} are padded to {crop[0]} x {crop[1]}; larger ones fail")
    lines += [f"note: {note}" for note in exported.notes]
    for image in exported.verified:
        line = f"verified on {image.size[0]} x {image.size[1]}: {image.differing} labels differ"
        if image.probability_error is not None:
            line += f", probabilities by at most {image.probability_error:.1e}"
        if image.clear < _SELDOM_CLEAR:
            line += f"; only {image.clear:.0%} of the pixels have a clear class"
        lines.append(line)
    return lines


def _parser() -> argparse.ArgumentParser:
    from mmseg_deeplab_ext.launch.arguments import add_cfg_options, add_trust_checkpoint

    parser = argparse.ArgumentParser(description="Write a segmentor as an ONNX file")
    parser.add_argument("config", help="config file of the segmentor")
    parser.add_argument("checkpoint", help="its weights: a .pth, tf://PATH or tf-zoo://NAME")
    parser.add_argument("out", help="the .onnx file to write")
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--crop-size",
        type=int,
        nargs=2,
        metavar=("HEIGHT", "WIDTH"),
        help="pad every image to this size; by default as the evaluation of the config does, by "
        "model.data_preprocessor.test_cfg.size",
    )
    size.add_argument(
        "--dynamic",
        action="store_true",
        help="no padding: run at each image's own size; the default where the config's "
        "evaluation does not pad",
    )
    resizing = parser.add_mutually_exclusive_group()
    resizing.add_argument(
        "--min-resize-value",
        type=int,
        metavar="PIXELS",
        help="resize every image first, its shorter side to this; by default as ResizeToRange in "
        "the config's test pipeline",
    )
    resizing.add_argument(
        "--keep-size", action="store_true", help="no resizing, whatever the test pipeline does"
    )
    parser.add_argument(
        "--max-resize-value", type=int, metavar="PIXELS", help="but its longer side to at most this"
    )
    parser.add_argument(
        "--resize-factor",
        type=int,
        metavar="FACTOR",
        help="and both sides to a multiple of this plus one",
    )
    parser.add_argument(
        "--probabilities", action="store_true", help="a second output: SemanticProbabilities"
    )
    parser.add_argument("--force", action="store_true", help="overwrite an existing file")
    add_trust_checkpoint(parser)
    add_cfg_options(
        parser, example='model.backbone.output_stride=8 "model.decode_head.dilations=(1,12,24,36)"'
    )
    return parser


if __name__ == "__main__":
    run_tool(main)
