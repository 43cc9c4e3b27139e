"""What the distribution asks for, against what the check of the environment accepts."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from mmseg_deeplab_ext import hosts

REPO = Path(__file__).resolve().parents[2]


def requirements(extra: str | None = None) -> dict[str, Requirement]:
    """The requirements of an extra, or those without one, by name."""
    found = map(Requirement, metadata.requires("mmseg-deeplab-ext"))
    marker = f'extra == "{extra}"' if extra else "None"
    return {one.name: one for one in found if marker in str(one.marker)}


def bound(requirement: Requirement, operator: str) -> Version | None:
    found = [Version(part.version) for part in requirement.specifier if part.operator == operator]
    return found[0] if found else None


def test_the_metadata_asks_for_nothing_that_could_replace_a_users_packages():
    assert set(requirements()) == {"numpy", "crc32c", "packaging"}
    assert metadata.metadata("mmseg-deeplab-ext")["Requires-Python"] == ">=3.8"


@pytest.mark.parametrize("host", hosts.HOSTS, ids=lambda host: host.module)
def test_the_openmmlab_extra_and_the_check_have_the_same_bounds(host):
    asked = requirements("openmmlab")[host.official[0]]
    assert bound(asked, ">=") == Version(host.minimum)
    if host.below:
        assert bound(asked, "<") == Version(host.below)
    command = host.commands[-1]
    recommended = Requirement(re.search(r'"(.+?)"', command).group(1))
    pinned = bound(recommended, "==")
    assert pinned in asked.specifier if pinned else recommended.specifier == asked.specifier


@pytest.mark.parametrize("host", hosts.HOSTS, ids=lambda host: host.module)
def test_the_check_accepts_what_the_onedl_extra_brings(host):
    asked = requirements("onedl")[host.onedl or host.official[0]]
    assert bound(asked, ">=") >= Version(host.minimum)


def test_the_script_that_makes_environments_bounds_setuptools_as_the_check_does():
    script = (REPO / "tools" / "make_env.sh").read_text()
    bounds = re.findall(r'"(setuptools[^"]*)"', script + " ".join(hosts.MMCV.commands))
    assert len(bounds) == 2
    assert len(set(bounds)) == 1
