"""Commands of the package: ``python -m mmseg_deeplab_ext check``, ``... zoo``, ``... atrous``."""

from __future__ import annotations

import argparse
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Iterator, Sequence

from mmseg_deeplab_ext import __version__
from mmseg_deeplab_ext.compat import UNDECLARED, Finding, check_environment, explain
from mmseg_deeplab_ext.compat import has_compiled_ops as mmcv_has_compiled_ops
from mmseg_deeplab_ext.errors import DeepLabExtError
from mmseg_deeplab_ext.hosts import HOSTS, MMCV, family

_OTHERS = ("numpy", "crc32c", "torchvision", "cv2", *UNDECLARED, "pkg_resources")


def environment_table(findings: Sequence[Finding]) -> list[str]:
    """Describe the environment in aligned lines: package, state, what brings it."""
    rows = [
        ("Python", "ok", f"{'.'.join(map(str, sys.version_info[:3]))}, {sys.executable}"),
        ("mmseg_deeplab_ext", "ok", __version__),
        *_host_rows(),
        *((name, "ok" if find_spec(name) else "absent", "") for name in _OTHERS),
    ]
    states = {f.package: "PROBLEM" if f.blocking else "note" for f in findings}
    rows = [(name, states.get(name, state), text) for name, state, text in rows]
    width = max(len(name) for name, _, _ in rows)
    return [f"{name:<{width}}  {state:<7}  {text}".rstrip() for name, state, text in rows]


def _host_rows() -> Iterator[tuple[str, str, str]]:
    for host in HOSTS:
        brought_by = ", ".join(f"{name} {version}" for name, version in host.installed().items())
        if host is MMCV and find_spec("mmcv"):
            brought_by += f", compiled operations: {'yes' if mmcv_has_compiled_ops() else 'no'}"
        present = find_spec(host.module) is not None
        yield host.module, "ok" if present else "absent", brought_by or "no metadata" * present


def check() -> int:
    """Report on this environment; return 0 if training is possible here and 1 if not."""
    findings = check_environment()
    print("\n".join(environment_table(findings)))
    print(f"\nFamily of mmengine, mmcv and mmseg to use here: {family()}")
    if findings:
        print(f"\n{explain(findings)}")
    ready = not any(finding.blocking for finding in findings)
    print(f"\n{'Ready.' if ready else 'Not ready.'}")
    return 0 if ready else 1


def zoo(name: str | None, *, folder: Path | None) -> int:
    """List the model zoo, or put one checkpoint into the cache and print its path.

    Args:
        name: Name of an entry; None lists them.
        folder: The cache; PyTorch's when not given.

    Returns:
        0, or 1 where the checkpoint can't be had.
    """
    # Only now: `check` has to work where not even NumPy is installed.
    from mmseg_deeplab_ext.checkpoints.zoo import fetch
    from mmseg_deeplab_ext.checkpoints.zoo_table import USE, listing

    if name is None:
        print("\n".join([*listing(), "", *USE]))
        return 0
    try:
        print(fetch(name, folder=folder, recheck=True))
    except DeepLabExtError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def atrous(args: argparse.Namespace) -> int:
    """Show what makes a network dense, and prove it; return 1 where that can't be."""
    from mmseg_deeplab_ext.backbones.atrous_report import report
    from mmseg_deeplab_ext.building import building

    try:
        with building(args.model):
            return report(
                args.model,
                args.output_stride,
                verify=args.verify,
                image_size=args.image_size and tuple(args.image_size),
            )
    except DeepLabExtError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m mmseg_deeplab_ext", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check", help="what is installed here, and does it suffice?")
    zoo_parser = commands.add_parser(
        "zoo", help="list the published TensorFlow checkpoints, or download one"
    )
    zoo_parser.add_argument("name", nargs="?", help="download this one and print its path")
    zoo_parser.add_argument(
        "--folder", type=Path, help="where to put it (default: PyTorch's cache of checkpoints)"
    )
    _add_atrous(commands)
    args = parser.parse_args(argv)
    if args.command == "zoo" and args.folder and not args.name:
        zoo_parser.error("--folder needs the NAME of a checkpoint to download")
    if args.command == "atrous":
        return atrous(args)
    return check() if args.command == "check" else zoo(args.name, folder=args.folder)


def _add_atrous(commands: Any) -> None:
    parser = commands.add_parser("atrous", help="what makes a network dense, and the proof")
    parser.add_argument(
        "model", help="timm/NAME, torchvision/NAME, package.module.function, or a config file"
    )
    parser.add_argument("--output-stride", type=int, required=True, help="such as 8 or 16")
    parser.add_argument("--verify", action="store_true", help="compare it with the original")
    parser.add_argument(
        "--image-size", type=int, nargs=2, metavar=("H", "W"), help="that the network can take"
    )


def _run() -> int:
    """Run the command line in a pipe, whose reader (`head`, a pager) may have seen enough."""
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:
        # What is still in the buffer has to go somewhere when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


if __name__ == "__main__":
    sys.exit(_run())
