"""Installed distributions made by hand: what `importlib.metadata` and the import system find."""

from __future__ import annotations

import textwrap


def add_distribution(folder, name, version="1.0", *, modules=None, entry_points=None):
    """Install a distribution into a folder that goes on the path.

    Args:
        folder: The folder, in the place of ``site-packages``.
        name: The distribution's name.
        version: Its version.
        modules: Source by file name, such as ``{"mmseg/__init__.py": ""}``.
        entry_points: Text of ``entry_points.txt``.
    """
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    if entry_points is not None:
        (info / "entry_points.txt").write_text(textwrap.dedent(entry_points))
    for path, source in (modules or {}).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(textwrap.dedent(source))
