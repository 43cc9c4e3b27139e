"""Bring a trained segmentor back to TensorFlow: a ``.pth`` becomes a checkpoint of its Saver.

python tools/model_converters/mmseg2tf.py CONFIG CHECKPOINT OUT_PREFIX
"""

from __future__ import annotations

import argparse
from typing import Sequence

from mmseg_deeplab_ext.errors import run_tool
from mmseg_deeplab_ext.plugins import load_plugins


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the arguments and export."""
    load_plugins()
    # Only now: without a sound environment these imports fail with a less helpful message.
    from mmseg_deeplab_ext.conversion.plain_loading import trust_checkpoints
    from mmseg_deeplab_ext.conversion.to_tensorflow import export_checkpoint
    from mmseg_deeplab_ext.launch.arguments import add_trust_checkpoint
    from mmseg_deeplab_ext.launch.config import load_config

    parser = argparse.ArgumentParser(description="Write a segmentor's weights for TensorFlow")
    parser.add_argument("config", help="config file of the segmentor")
    parser.add_argument("checkpoint", help="its weights, a .pth file")
    parser.add_argument(
        "out_prefix",
        help="what the names of the new files start with: folder/model.ckpt becomes "
        "folder/model.ckpt.index and folder/model.ckpt.data-00000-of-00001",
    )
    parser.add_argument(
        "--drop",
        nargs="+",
        default=[],
        metavar="MODULE",
        help="modules without a counterpart in TensorFlow to leave out, such as auxiliary_head",
    )
    parser.add_argument("--force", action="store_true", help="overwrite an existing checkpoint")
    add_trust_checkpoint(parser)
    args = parser.parse_args(argv)
    trust_checkpoints(args.trust_checkpoint)
    export = export_checkpoint(
        load_config(args.config),
        args.checkpoint,
        args.out_prefix,
        drop=args.drop,
        overwrite=args.force,
    )
    if export.dropped:
        print(f"left out: {', '.join(export.dropped)}")
    step = "unknown" if export.global_step is None else export.global_step
    print(f"{args.out_prefix}: {export.num_variables} variables, global_step {step}")


if __name__ == "__main__":
    run_tool(main)
