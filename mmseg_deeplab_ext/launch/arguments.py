"""Command-line arguments that several tools have, spelt as MMSegmentation's."""

from __future__ import annotations

import argparse
import os
import re
from typing import Sequence

from mmengine.config import DictAction

from mmseg_deeplab_ext.conversion.plain_loading import TRUST_FLAG, trust_checkpoints
from mmseg_deeplab_ext.inference.optimise import DTYPES
from mmseg_deeplab_ext.launch.distributed import LAUNCHERS

_DICTIONARY = re.compile(r"\bdict\(|(^|[\[(,])\s*['\"]?\{\s*['\"]")


class CfgOptions(DictAction):
    """MMEngine's ``KEY=VALUE`` parser with a usage error in place of a traceback."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        """Add the pairs to the namespace's dictionary."""
        wrong = [value for value in values if not value.partition("=")[0] or "=" not in value]
        if wrong:
            parser.error(f"{option_string} takes KEY=VALUE pairs, but got {' '.join(wrong)!r}")
        nested = [value for value in values if _DICTIONARY.search(value.partition("=")[2])]
        if nested:
            parser.error(
                f"{option_string} takes numbers, words and lists of them, but no dictionaries: "
                f"{' '.join(nested)!r}. Set their keys one by one, such as "
                "param_scheduler.0.power=1, or write them into the config file"
            )
        try:
            super().__call__(parser, namespace, values, option_string)
        except AssertionError as error:  # DictAction's word for unbalanced brackets
            parser.error(f"{option_string}: {error}")


def add_cfg_options(parser: argparse.ArgumentParser, *, example: str) -> None:
    """Add ``--cfg-options``, which parses to a dictionary; the help shows an example of its own."""
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=CfgOptions,
        default={},
        metavar="KEY=VALUE",
        help=f"settings that replace those of the config file, such as {example}",
    )


def add_trust_checkpoint(parser: argparse.ArgumentParser) -> None:
    """Add the one way around reading ``.pth`` files as plain data.

    Args:
        parser: That of a tool, which tells its value to :func:`trust_checkpoints`.
    """
    parser.add_argument(
        TRUST_FLAG,
        action="store_true",
        help="load .pth files that hold more than plain data, which runs code that is in them",
    )


def add_launcher(parser: argparse.ArgumentParser) -> None:
    """Add ``--launcher``: which program started the processes, if there are several."""
    parser.add_argument(
        "--launcher", choices=["none", *LAUNCHERS], default="none", help="job launcher"
    )


def add_optimise(parser: argparse.ArgumentParser) -> None:
    """Add ``--no-optimise``, which sets ``optimise``, or else ``--dtype``."""
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument(
        "--no-optimise",
        dest="optimise",
        action="store_false",
        help="run the network as it is: neither are batch norms folded nor the layout changed",
    )
    choice.add_argument(
        "--dtype",
        choices=DTYPES,
        default="fp32",
        help="type of the network's weights and maps; the halves change labels of close classes",
    )


def common_parser(description: str) -> argparse.ArgumentParser:
    """Start a parser with the arguments that training and evaluation share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("config", help="config file (.py, .yml, .json)")
    parser.add_argument("--work-dir", help="directory for logs and checkpoints")
    add_cfg_options(
        parser,
        example='train_cfg.max_iters=100 or key="[a,b]" or key="[(a,b),(c,d)]" (quoted, without '
        "white space)",
    )
    parser.add_argument(
        "--check-labels",
        action="store_true",
        help="read every label map before the start, not only 32 of each data set",
    )
    add_trust_checkpoint(parser)
    add_launcher(parser)
    # torch.distributed.launch passes it in one spelling or the other, torchrun by LOCAL_RANK.
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0)
    return parser


def parse(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse, and tell what is wanted to those who look elsewhere: MMEngine, and the loaders."""
    args = parser.parse_args(argv)
    trust_checkpoints(args.trust_checkpoint)
    os.environ.setdefault("LOCAL_RANK", str(args.local_rank))
    return args
