"""The packages this one is a guest of, as data: who brings them, which versions, how to install.

The import names ``mmengine``, ``mmcv`` and ``mmseg`` come from two families of distributions,
OpenMMLab's and OneDL's, which overwrite each other's files.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib import metadata

OPENMMLAB = "OpenMMLab"
ONEDL = "OneDL"
PIP = "python -m pip "


@dataclass(frozen=True)
class Host:
    """A package that this one is a guest of.

    Attributes:
        module: Its import name.
        official: The distributions that bring it, the preferred one first; where there are two
            families, those of OpenMMLab.
        onedl: OneDL's distribution, if there is one.
        minimum: The oldest version accepted, of either family.
        commands: The commands that install the official distribution.
        below: The first version that official mmsegmentation refuses to be imported with
            (``mmseg/__init__.py`` of 1.2.2). OneDL's mmsegmentation has no such bound.
    """

    module: str
    official: tuple[str, ...]
    onedl: str | None
    minimum: str
    commands: tuple[str, ...]
    below: str | None = None

    def installed(self) -> dict[str, str]:
        """Return distribution -> version, for those installed that bring this package."""
        found = {}
        for name in (*self.official, *filter(None, [self.onedl])):
            try:
                found[name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                continue
        return found

    def wanted(self) -> str:
        """Name the distribution that should bring this package here."""
        return self.onedl if self.onedl and family() == ONEDL else self.official[0]

    def install(self) -> tuple[str, ...]:
        """Return the commands that install the wanted distribution."""
        wanted = self.wanted()
        return (f"{PIP}install --upgrade {wanted}",) if wanted == self.onedl else self.commands


# The minima, which the extras in setup.py repeat: torch 2.0 is the oldest whose checkpointing and
# launcher work as they are used here; mmengine's is of the time of mmsegmentation 1.2; mmcv's is
# mmsegmentation's own; mmsegmentation before 1.2 refuses the mmcv 2.1 that the recipe here builds.
TORCH = Host("torch", ("torch",), None, "2.0", (PIP + 'install "torch>=2.0"',))
MMENGINE = Host(
    "mmengine",
    ("mmengine", "mmengine-lite"),
    "onedl-mmengine",
    "0.10.3",
    (PIP + 'install "mmengine>=0.10.3,<1"',),
    below="1.0.0",
)
# setuptools 82 dropped pkg_resources; 64 is the first that makes editable installations.
SETUPTOOLS = PIP + 'install "setuptools>=64,<82"'
# mmcv compiles against the installed torch, and its build reads versions through pkg_resources.
MMCV = Host(
    "mmcv",
    ("mmcv", "mmcv-lite", "mmcv-full"),
    "onedl-mmcv",
    "2.0.0rc4",
    (SETUPTOOLS + " wheel ninja psutil", PIP + 'install --no-build-isolation "mmcv==2.1.0"'),
    below="2.2.0",
)
MMSEG = Host(
    "mmseg",
    ("mmsegmentation",),
    "onedl-mmsegmentation",
    "1.2.0",
    (PIP + 'install "mmsegmentation>=1.2,<1.3" ftfy regex',),
)
HOSTS = (TORCH, MMENGINE, MMCV, MMSEG)


def family() -> str:
    """Name the family to stay with: the one with more distributions installed.

    Where that is undecided it is OneDL, which needs no compiler but Python 3.10.
    """
    names = [name for host in HOSTS for name in host.installed() if host.onedl]
    if not names:
        return ONEDL if sys.version_info >= (3, 10) else OPENMMLAB
    onedl = sum(name.startswith("onedl-") for name in names)
    return ONEDL if 2 * onedl >= len(names) else OPENMMLAB


def official_mmseg() -> bool:
    """Tell whether it is official mmsegmentation alone that brings ``mmseg``."""
    return list(MMSEG.installed()) == list(MMSEG.official)
