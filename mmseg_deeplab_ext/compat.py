"""What is wrong with this environment, and the commands that mend it.

The facts are read from the installed metadata first. Only where these are in order are the
packages imported, to find the ones that are installed and yet broken.

Nothing here runs when ``mmseg_deeplab_ext`` is imported: the check belongs to the registration
(``plugins.register``) and to ``python -m mmseg_deeplab_ext check``.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import find_spec
from typing import Iterator

from mmseg_deeplab_ext.errors import EnvironmentNotReadyError
from mmseg_deeplab_ext.hosts import (
    HOSTS,
    MMCV,
    MMENGINE,
    MMSEG,
    OPENMMLAB,
    PIP,
    SETUPTOOLS,
    TORCH,
    Host,
    family,
    official_mmseg,
)

# Imported by mmsegmentation; the official distribution does not declare them.
UNDECLARED = ("ftfy", "regex")


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with the environment.

    Attributes:
        package: The import name concerned.
        problem: What was found and what is needed.
        uninstall: Distributions to remove.
        commands: Shell commands to run after that.
        blocking: Whether training is impossible until it is mended.
    """

    package: str
    problem: str
    uninstall: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    blocking: bool = True


def _finding(host: Host, problem: str, *, replace: bool = False, blocking: bool = True) -> Finding:
    """Attach the commands that put the wanted distribution in the place of what is there."""
    found = tuple(host.installed())
    uninstall = found if replace or host.wanted() not in found else ()
    return Finding(host.module, problem, uninstall, host.install(), blocking)


def _host_findings(host: Host) -> Iterator[Finding]:
    found = host.installed()
    if find_spec(host.module) is None:
        yield _finding(host, "is not installed", replace=True)
    elif len(found) > 1:
        names = " and ".join(f"{name} {version}" for name, version in found.items())
        yield _finding(
            host, f"comes from {names}, which overwrite each other's files", replace=True
        )
    else:
        for name, version in found.items():
            yield from _version_findings(host, name, version)


def _version_findings(host: Host, name: str, version: str) -> Iterator[Finding]:
    from packaging.version import Version  # not at the top: without it the rest must still report

    state = f"{version} ({name}) is"
    if Version(version) < Version(host.minimum):
        yield _finding(host, f"{state} too old, {host.minimum} or newer is needed")
    elif host.below and official_mmseg() and Version(version) >= Version(host.below):
        yield _finding(host, f"{state} refused by mmsegmentation, which needs <{host.below}")
    elif host.onedl and (name == host.onedl) != (host.wanted() == host.onedl):
        problem = f"{state} mixed with packages of {family()}: this is untested"
        yield _finding(host, problem, blocking=False)


def has_compiled_ops() -> bool:
    """Tell whether mmcv has its compiled operations, without importing it."""
    spec = find_spec("mmcv")
    return spec is not None and bool(
        PathFinder.find_spec("mmcv._ext", spec.submodule_search_locations)
    )


def _companion_findings() -> Iterator[Finding]:
    """Look at what the host packages need beside each other."""
    if family() == OPENMMLAB and official_mmseg() and find_spec("mmcv") and not has_compiled_ops():
        problem = "has no compiled operations, and official mmsegmentation imports them"
        # A copy built where there was no torch lacks them, and stays in pip's cache.
        commands = (*MMCV.commands[:-1], MMCV.commands[-1] + " --no-cache-dir")
        yield Finding("mmcv", problem, tuple(MMCV.installed()), commands)
    for name in UNDECLARED if find_spec("mmseg") else ():
        if find_spec(name) is None:
            command = f"{PIP}install {name}"
            yield Finding(name, "is not installed, mmseg imports it", (), (command,))
    official = set(MMENGINE.official) & set(MMENGINE.installed())
    if family() == OPENMMLAB and official and not find_spec("pkg_resources"):
        problem = (
            "is missing (setuptools 82 dropped it): with official mmengine neither"
            " '<package>::' config bases nor mmengine.hub work, nor does MIM"
        )
        yield Finding("pkg_resources", problem, (), (SETUPTOOLS,), blocking=False)


def _import_error(module: str) -> str | None:
    try:
        import_module(module)
    except Exception as error:  # whatever a broken installation raises is the finding
        return f"is installed but cannot be imported: {type(error).__name__}: {error}"
    return None


def _import_findings() -> Iterator[Finding]:
    """Import the packages for real, in the order in which they need each other.

    After the first without which the rest can't work, nothing more is imported.
    """
    problem = _import_error("torch")
    if problem:
        yield _finding(TORCH, problem, replace=True)
        return
    # Nothing here uses torchvision, but MMEngine's Runner imports it for its report on the
    # environment, where it survives torchvision's absence only.
    problem = find_spec("torchvision") and _import_error("torchvision")
    if problem:
        yield Finding("torchvision", problem, ("torchvision",))
    problem = _import_error("cv2")
    if problem:
        # opencv-python needs system libraries (libGL) that servers lack; this one does not.
        command = f"{PIP}install opencv-python-headless"
        yield Finding("cv2", problem, ("opencv-python",), (command,))
        return
    for host, module in ((MMENGINE, "mmengine"), (MMCV, "mmcv"), (MMSEG, "mmseg.models")):
        problem = _import_error(module)
        if problem:
            yield _finding(host, problem, replace=True)
            return


def check_environment() -> list[Finding]:
    """Look for everything that keeps this package from working here.

    Returns:
        The findings, in the order in which to read them; empty where all is well. PyTorch, MMCV
        and MMSegmentation are imported if, and only if, their metadata shows nothing blocking.
    """
    findings = [finding for host in HOSTS for finding in _host_findings(host)]
    findings += _companion_findings()
    if not any(finding.blocking for finding in findings):
        findings += _import_findings()
    return findings


def explain(findings: list[Finding]) -> str:
    """Put findings into one message that ends with the commands that mend them all."""
    names = dict.fromkeys(name for finding in findings for name in finding.uninstall)
    commands = dict.fromkeys(command for finding in findings for command in finding.commands)
    return "\n".join(
        [
            f"The Python environment of {sys.executable} needs mending:",
            *(f"  - {finding.package} {finding.problem}" for finding in findings),
            "Run these commands in it:",
            *([f"  {PIP}uninstall -y {' '.join(names)}"] if names else []),
            *(f"  {command}" for command in commands),
        ]
    )


def require_environment() -> list[Finding]:
    """Check the environment and refuse one that cannot work.

    Returns:
        The findings that do not keep anything from training, for the caller to report.

    Raises:
        EnvironmentNotReadyError: With all findings and the commands that mend them.
    """
    findings = check_environment()
    if any(finding.blocking for finding in findings):
        raise EnvironmentNotReadyError(explain(findings))
    return findings
