"""The wheel, in a fresh virtual environment: its files, registration from it, and MIM.

The virtual environment sees the packages of the tested one through a ``.pth`` file, so PyTorch
and MMSegmentation need no second installation.
"""

from __future__ import annotations

import os
import shutil
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from mmseg_deeplab_ext import hosts
from tests.support.processes import run_command
from tests.test_package import registration
from tests.test_package.test_registration import STOCK_CONFIG, losses

REPO = Path(__file__).resolve().parents[2]
SOURCES = (
    *("mmseg_deeplab_ext", "configs", "tools", "LICENSE", "MANIFEST.in", "README.md"),
    *("model-index.yml", "pyproject.toml", "setup.py"),
)
# MIM's own requirements but one: opendatalab is only there for `mim download --dataset`, and
# demands a setuptools too old for PyTorch. MIM itself imports pkg_resources.
MIM_NEEDS = (
    *("click", "colorama", "model-index", "pandas", "requests", "rich", "tabulate"),
    "setuptools<82",
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Make the virtual environment; returns its folder of commands."""
    folder = tmp_path_factory.mktemp("wheel") / "venv"
    venv.create(str(folder), with_pip=True)
    site = next(folder.glob("lib/python*/site-packages"))
    inherited = [path for path in sys.path if "site-packages" in Path(path).parts]
    (site / "tested.pth").write_text("\n".join(inherited) + "\n")
    pip(folder / "bin", "install", "wheel", *MIM_NEEDS)
    return folder / "bin"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory, environment):
    """Build a source distribution, and from it a wheel."""
    folder = tmp_path_factory.mktemp("build")
    (folder / "source").mkdir()
    ignore = shutil.ignore_patterns("__pycache__")
    for name in SOURCES:
        source, target = REPO / name, folder / "source" / name
        if source.is_dir():
            shutil.copytree(str(source), str(target), symlinks=True, ignore=ignore)
        else:
            shutil.copy(str(source), str(target))
    build = "import setuptools.build_meta as backend; backend.build_sdist('..')"
    run_command(environment / "python", "-c", build, cwd=folder / "source")
    sdist = next(folder.glob("*.tar.gz"))
    pip(environment, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, sdist)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(environment, wheel):
    """Install the wheel and MIM; returns the folder of commands."""
    pip(environment, "install", wheel)
    pip(environment, "install", "--no-deps", "openmim==0.3.9")
    return environment


def pip(commands, *arguments):
    options = ("--quiet", "--disable-pip-version-check")
    command = (commands / "python", "-m", "pip", arguments[0], *options, *arguments[1:])
    # With a checkout on its path pip would take this package for installed already.
    run_command(*command, cwd=commands, PYTHONPATH="")


def mim(commands, *arguments, cwd, **options):
    """Run MIM as a user does who has activated the virtual environment."""
    path = os.pathsep.join([str(commands), os.environ["PATH"]])
    return run_command(commands / "mim", *arguments, cwd=cwd, PATH=path, PYTHONPATH="", **options)


def test_the_wheel_has_copies_of_configs_and_tools_where_mim_looks(wheel):
    expected = {Path("model-index.yml")}
    for folder in ("configs", "tools"):
        files = (REPO / folder).rglob("*")
        expected |= {path.relative_to(REPO) for path in files if path.is_file()}
    expected = {path for path in expected if "__pycache__" not in path.parts}
    prefix = "mmseg_deeplab_ext/.mim/"
    with zipfile.ZipFile(wheel) as archive:
        packed = {name[len(prefix) :] for name in archive.namelist() if name.startswith(prefix)}
        assert packed == {str(path) for path in expected}
        for path in expected:
            assert archive.read(prefix + str(path)) == (REPO / path).read_bytes()
        assert not any(name.startswith(("tests/", "configs/")) for name in archive.namelist())


def test_registration_works_from_the_wheel(installed, tmp_path):
    script = (installed / "python", registration.__file__)
    output = run_command(*script, cwd=tmp_path, PYTHONPATH="").stdout
    assert f"REGISTERED {installed.parent}" in output


def test_messages_name_the_tools_that_the_wheel_brought(installed, tmp_path):
    source = "from mmseg_deeplab_ext.tool_paths import tool_path; print(tool_path('train.py'))"
    command = (installed / "python", "-c", source)
    tool = Path(run_command(*command, cwd=tmp_path, PYTHONPATH="").stdout.strip())
    assert tool.is_file()
    assert installed.parent.resolve() in tool.parents


def test_mim_lists_and_trains_our_configs_by_name(installed, tmp_path, scenes):
    output = mim(installed, "search", "mmseg_deeplab_ext", cwd=tmp_path).stdout
    assert "deeplabv3plus_r101beta-d16_b16-30k_voc12-513x513" in output

    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "demo").symlink_to(scenes)
    process = mim(
        installed,
        *("train", "mmseg_deeplab_ext", "deeplabv3plus_r18beta_demo.py", "--work-dir", "work"),
        *("--cfg-options", "train_cfg.max_iters=2", "train_cfg.val_interval=2"),
        *(
            "train_dataloader.batch_size=2",
            "global_batch_size=2",
            "default_hooks.logger.interval=1",
        ),
        cwd=tmp_path,
    )
    assert f"{installed.parent}" in process.stdout.split("Training command is ")[1]
    assert "Training finished successfully" in process.stdout
    assert len(losses(tmp_path / "work")) == 2


def test_mim_trains_with_mmsegs_own_tool_and_a_config_that_names_ours(installed, tmp_path, scenes):
    """For OneDL's users this is the way: onedl-mim looks for a package's files in a wrong place."""
    if hosts.family() == hosts.ONEDL:
        pip(installed, "uninstall", "--yes", "openmim")
        pip(installed, "install", "--no-deps", "onedl-mim==0.5.1")
    (tmp_path / "stock.py").write_text(STOCK_CONFIG.format(scenes=scenes))
    process = mim(installed, "train", "mmseg", "stock.py", "--work-dir", "work", cwd=tmp_path)
    assert "Training finished successfully" in process.stdout
    assert len(losses(tmp_path / "work")) == 2
