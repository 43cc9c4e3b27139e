"""The check of the environment, on environments made by hand.

Each is a folder of distributions that an interpreter started with ``-S`` (no ``site-packages``)
has on its path: metadata and modules are found, or not, by the real import machinery.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import packaging
import pytest

from mmseg_deeplab_ext.compat import explain, require_environment
from tests.support.distributions import add_distribution
from tests.support.processes import run_command

REPO = Path(__file__).resolve().parents[2]
COMPILED = "mmcv/_ext.py"

# Distribution -> version and further modules, of two environments that are in order.
OPENMMLAB = {
    "torch": ("2.13.0", "torch"),
    "mmengine": ("0.10.7", "mmengine"),
    "mmcv": ("2.1.0", "mmcv"),
    "mmsegmentation": ("1.2.2", "mmseg"),
    "ftfy": ("6.3", "ftfy"),
    "regex": ("2025.1", "regex"),
    "opencv-python": ("4.11", "cv2"),
    "setuptools": ("81.0.0", "pkg_resources"),
}
ONEDL = {
    **{name: OPENMMLAB[name] for name in ("torch", "ftfy", "regex", "opencv-python")},
    "onedl-mmengine": ("0.10.12", "mmengine"),
    "onedl-mmcv": ("2.3.6", "mmcv"),
    "onedl-mmsegmentation": ("1.4.2", "mmseg"),
}


@pytest.fixture
def check(tmp_path):
    """Run ``python -m mmseg_deeplab_ext check`` in an environment of the given distributions."""

    def run(distributions, *, code, compiled=True, broken=()):
        site = tmp_path / "site"
        site.mkdir()
        for name, (version, module) in distributions.items():
            error = dict(broken).get(module)
            source = f"raise {error}\n" if error else ""
            modules = {f"{module}/__init__.py": source}
            if module == "mmseg":
                modules["mmseg/models.py"] = ""
            add_distribution(site, name, version, modules=modules)
        if compiled and (site / "mmcv").exists():
            (site / COMPILED).write_text("")
        (site / "packaging").symlink_to(Path(packaging.__file__).parent)
        return run_command(
            sys.executable,
            *("-S", "-m", "mmseg_deeplab_ext", "check"),
            cwd=tmp_path,
            code=code,
            PYTHONPATH=os.pathsep.join([str(site), str(REPO)]),
        ).stdout

    return run


def without(distributions, *names):
    return {name: value for name, value in distributions.items() if name not in names}


def commands(output):
    return [line.strip() for line in output.splitlines() if line.startswith("  python -m pip")]


@pytest.mark.parametrize(("name", "stack"), [("OpenMMLab", OPENMMLAB), ("OneDL", ONEDL)])
def test_an_environment_in_order_is_ready(check, name, stack):
    output = check(stack, code=0, compiled=name == "OpenMMLab")
    assert f"use here: {name}" in output
    assert output.endswith("\nReady.\n")
    assert commands(output) == []


def test_an_empty_environment_gets_one_message_with_a_whole_stack(check):
    output = check({}, code=1)
    assert output.count("needs mending") == 1
    for package in ("torch", "mmengine", "mmcv", "mmseg"):
        assert f"  - {package} is not installed" in output
    stack = commands(output)
    assert stack[0] == 'python -m pip install "torch>=2.0"'
    if sys.version_info >= (3, 10):
        assert [line.split()[-1] for line in stack[1:]] == [
            "onedl-mmengine",
            "onedl-mmcv",
            "onedl-mmsegmentation",
        ]
    assert output.endswith("\nNot ready.\n")


@pytest.mark.parametrize(
    ("stack", "missing", "fix"),
    [
        (OPENMMLAB, "mmengine", 'install "mmengine>=0.10.3,<1"'),
        (OPENMMLAB, "mmcv", 'install --no-build-isolation "mmcv==2.1.0"'),
        (OPENMMLAB, "mmsegmentation", 'install "mmsegmentation>=1.2,<1.3" ftfy regex'),
        (OPENMMLAB, "ftfy", "install ftfy"),
        (OPENMMLAB, "regex", "install regex"),
        (ONEDL, "onedl-mmcv", "install --upgrade onedl-mmcv"),
        (ONEDL, "onedl-mmsegmentation", "install --upgrade onedl-mmsegmentation"),
        (ONEDL, "regex", "install regex"),
    ],
)
def test_a_missing_package_is_named_with_its_own_familys_command(check, stack, missing, fix):
    output = check(without(stack, missing), code=1)
    assert f"  - {stack[missing][1]} is not installed" in output
    assert commands(output)[-1] == f"python -m pip {fix}"


@pytest.mark.parametrize(
    ("stack", "name", "version", "problem", "fix"),
    [
        (OPENMMLAB, "torch", "1.13.1", "too old, 2.0 or newer", 'install "torch>=2.0"'),
        (OPENMMLAB, "mmengine", "0.8.5", "too old, 0.10.3 or", 'install "mmengine>=0.10.3,<1"'),
        (OPENMMLAB, "mmsegmentation", "0.30.0", "too old, 1.2.0 or", "ftfy regex"),
        (OPENMMLAB, "mmcv", "1.7.2", "too old, 2.0.0rc4 or newer", '"mmcv==2.1.0"'),
        (OPENMMLAB, "mmcv", "2.2.0", "refused by mmsegmentation", '"mmcv==2.1.0"'),
        (ONEDL, "onedl-mmengine", "0.10.2", "too old, 0.10.3", "install --upgrade onedl-mmengine"),
    ],
)
def test_a_version_outside_the_range_is_named(check, stack, name, version, problem, fix):
    output = check({**stack, name: (version, stack[name][1])}, code=1)
    assert f"  - {stack[name][1]} {version} ({name}) is {problem}" in output
    assert commands(output)[-1].endswith(fix)
    assert "uninstall" not in output


def test_a_release_candidate_of_the_oldest_version_is_accepted(check):
    check({**OPENMMLAB, "mmcv": ("2.0.0rc4", "mmcv")}, code=0)


def test_onedl_mmcv_has_no_upper_bound_with_its_own_mmsegmentation(check):
    check({**ONEDL, "onedl-mmcv": ("3.0.0", "mmcv")}, code=0, compiled=False)


def test_both_families_at_once_are_a_conflict_that_is_cleared_before_installing(check):
    output = check({**ONEDL, "mmengine": ("0.10.7", "mmengine")}, code=1)
    assert "mmengine comes from mmengine 0.10.7 and onedl-mmengine 0.10.12" in output
    assert commands(output) == [
        "python -m pip uninstall -y mmengine onedl-mmengine",
        "python -m pip install --upgrade onedl-mmengine",
    ]


def test_a_mixture_that_mmsegmentation_refuses_is_undone(check):
    mixture = without(OPENMMLAB, "mmcv")
    output = check({**mixture, "onedl-mmcv": ("2.3.6", "mmcv")}, code=1)
    assert "mmcv 2.3.6 (onedl-mmcv) is refused by mmsegmentation, which needs <2.2.0" in output
    assert commands(output)[0] == "python -m pip uninstall -y onedl-mmcv"
    assert commands(output)[-1].endswith('"mmcv==2.1.0"')


def test_a_mixture_that_may_work_is_noted(check):
    mixture = without(OPENMMLAB, "mmengine")
    output = check({**mixture, "onedl-mmengine": ("0.10.12", "mmengine")}, code=0)
    assert "mixed with packages of OpenMMLab: this is untested" in output


@pytest.mark.parametrize("name", ["mmcv", "mmcv-lite"])
def test_official_mmseg_without_compiled_operations_is_found(check, name):
    stack = {**without(OPENMMLAB, "mmcv"), name: ("2.1.0", "mmcv")}
    output = check(stack, code=1, compiled=False)
    assert "  - mmcv has no compiled operations" in output
    assert commands(output)[0] == f"python -m pip uninstall -y {name}"
    # The copy in pip's cache may be the very one that lacks them.
    assert commands(output)[-1].endswith('"mmcv==2.1.0" --no-cache-dir')


def test_setuptools_without_pkg_resources_is_noted_with_official_mmengine_only(check):
    output = check(without(OPENMMLAB, "setuptools"), code=0)
    assert "pkg_resources is missing (setuptools 82 dropped it)" in output
    assert commands(output) == ['python -m pip install "setuptools>=64,<82"']


@pytest.mark.parametrize(
    ("module", "error", "fix"),
    [
        (
            "torchvision",
            'RuntimeError("operator torchvision::nms does not exist")',
            ["uninstall -y torchvision"],
        ),
        (
            "cv2",
            'ImportError("libGL.so.1: cannot open shared object file")',
            ["uninstall -y opencv-python", "install opencv-python-headless"],
        ),
        (
            "torch",
            'OSError("libtorch_cpu.so: cannot open shared object file")',
            ["uninstall -y torch", 'install "torch>=2.0"'],
        ),
        (
            "mmseg",
            'AssertionError("MMCV==2.2.0 is used but incompatible")',
            ["uninstall -y mmsegmentation", 'install "mmsegmentation>=1.2,<1.3" ftfy regex'],
        ),
    ],
)
def test_a_package_that_is_there_and_broken_is_found_by_importing_it(check, module, error, fix):
    stack = {**OPENMMLAB, "torchvision": ("0.28", "torchvision")}
    output = check(stack, code=1, broken={module: error})
    message = error.split('"')[1]
    assert f"  - {module} is installed but cannot be imported" in output
    assert message in output
    assert commands(output) == [f"python -m pip {line}" for line in fix]


def test_an_absent_torchvision_is_fine(check):
    output = check(OPENMMLAB, code=0)
    assert "torchvision        absent" in output


def test_the_training_tool_stops_with_the_message_and_no_traceback(tmp_path):
    command = (sys.executable, "-S", REPO / "tools" / "train.py", "config.py")
    process = run_command(*command, cwd=tmp_path, code=1, PYTHONPATH=str(REPO))
    assert "train.py: error: The Python environment of" in process.stderr
    assert "  - torch is not installed" in process.stderr
    assert "Traceback" not in process.stderr


def test_a_broken_torchvision_stops_the_training_tool_of_this_environment(tmp_path):
    """MMEngine's Runner would import it and fail in the middle of its report."""
    source = 'raise RuntimeError("operator torchvision::nms does not exist")\n'
    add_distribution(tmp_path, "torchvision", modules={"torchvision/__init__.py": source})
    path = os.pathsep.join([str(tmp_path), str(REPO)])
    command = (REPO / "tools" / "train.py", "config.py")
    process = run_command(*command, cwd=tmp_path, code=1, PYTHONPATH=path)
    assert "torchvision is installed but cannot be imported: RuntimeError" in process.stderr
    assert "  python -m pip uninstall -y torchvision" in process.stderr
    assert "Traceback" not in process.stderr


def test_this_environment_is_ready():
    notes = require_environment()
    assert not any(note.blocking for note in notes), explain(notes)
