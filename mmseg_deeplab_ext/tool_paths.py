"""Where this package's tools are, for messages that name a command to run."""

from __future__ import annotations

import os
from pathlib import Path


def tool_path(name: str) -> str:
    """Return the path of a tool as a user can type it here.

    Args:
        name: The tool's path in the folder ``tools``, such as ``make_demo_dataset.py``.

    Returns:
        Its path from the current folder if it is below that, as in ``tools/make_demo_dataset.py``,
        else the whole path. An installation from a wheel has its tools in the package's ``.mim``.
    """
    # In a checkout .mim/tools is a symbolic link to the folder that everyone knows.
    path = (Path(__file__).parent / ".mim" / "tools" / name).resolve()
    here = Path.cwd()
    return os.path.relpath(path, here) if here in path.parents else str(path)
