"""Turn a .pth of torchvision's segmentation networks into one for MMSegmentation, and a config.

python tools/model_converters/torchvision2mmseg.py fcn_resnet50_coco-1167a1af.pth fcn.pth --config-out fcn.py
"""  # noqa: E501

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Sequence

from mmseg_deeplab_ext.errors import run_tool
from mmseg_deeplab_ext.plugins import load_plugins


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the arguments and convert."""
    load_plugins()
    # Only now: without a sound environment these imports fail with a less helpful message.
    from mmseg_deeplab_ext.conversion.from_torchvision import (
        convert_torchvision,
        load_torchvision,
        plan_torchvision,
    )
    from mmseg_deeplab_ext.conversion.plain_loading import trust_checkpoints
    from mmseg_deeplab_ext.conversion.to_mmseg import Outputs

    args = _parser().parse_intermixed_args(argv)
    trust_checkpoints(args.trust_checkpoint)
    outputs = Outputs(args.out, args.config_out, overwrite=args.force)
    outputs.check()
    state_dict = load_torchvision(args.source)
    plan = plan_torchvision(state_dict, source=args.source)
    print(plan.report())
    if args.list:
        print("\n".join(plan.name_table()))
    convert_torchvision(state_dict, plan, outputs, dry_run=args.dry_run)
    print("nothing written" if args.dry_run else f"written: {outputs}")


def _parser() -> argparse.ArgumentParser:
    from mmseg_deeplab_ext.launch.arguments import add_trust_checkpoint

    parser = argparse.ArgumentParser(
        description="Convert weights of torchvision.models.segmentation, without torchvision"
    )
    parser.add_argument("source", help="a downloaded file, such as fcn_resnet50_coco-1167a1af.pth")
    parser.add_argument("out", type=Path, help="the .pth to write")
    parser.add_argument("--config-out", type=Path, metavar="OUT.py", help="a config to write")
    parser.add_argument("--list", action="store_true", help="print every name, theirs and ours")
    parser.add_argument("--dry-run", action="store_true", help="check everything, write nothing")
    parser.add_argument("--force", action="store_true", help="overwrite existing files")
    add_trust_checkpoint(parser)
    return parser


if __name__ == "__main__":
    run_tool(main)
