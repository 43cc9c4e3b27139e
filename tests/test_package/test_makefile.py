"""The Makefile and the script that makes environments, with stand-ins for what takes minutes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.support.processes import run_command

REPO = Path(__file__).resolve().parents[2]

# Stands in for the environment's Python: notes what it is asked to run, and leaves its files.
RUNS_TOOLS = """\
#!/bin/sh
echo "$1" >> calls
case $1 in
    tools/make_demo_dataset.py) mkdir -p data/demo && touch data/demo/demo.json ;;
    tools/train.py) mkdir -p work_dirs/demo && cat configs/_base_/*/* > work_dirs/demo/weights
        echo work_dirs/demo/weights > work_dirs/demo/last_checkpoint
        exit "$(cat failure 2>/dev/null || echo 0)" ;;
esac
"""

# Stands in for a Python of the system, and for those of the environments that it makes. The file
# `broken` keeps it from finishing one, `fails` names an import that fails, `offered` has what pip
# says about the builds of torch.
MAKES_ENVIRONMENTS = """\
#!/bin/sh
cd "{folder}" || exit 1
echo "$*" >> calls
[ "$*" = "-c import $(cat fails)" ] && exit 1
case "$*" in
    "-m venv "*)
        mkdir -p venv/bin && touch venv/pyvenv.cfg
        [ -e broken ] && printf '#!/bin/sh\\nexit 1\\n' > venv/bin/python && exit 1
        cp --remove-destination python venv/bin/python ;;
    *" index versions torch "*) cat offered ;;
esac
exit 0
"""


def write_script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    shutil.copy(REPO / "Makefile", tmp_path)
    shutil.copytree(REPO / "configs", tmp_path / "configs")
    write_script(tmp_path / "tools/make_env.sh", "#!/bin/sh\n")
    write_script(tmp_path / ".venv-onedl/bin/python", RUNS_TOOLS)
    return tmp_path


def demo(checkout: Path, *, code: int = 0) -> list[str]:
    """Run ``make demo``; returns the tools that it ran."""
    (checkout / "calls").write_text("")
    # STACK and MAKEFLAGS: what `make test STACK=openmmlab` hands down must not reach this make.
    run_command("make", "demo", "STACK=onedl", cwd=checkout, code=code, MAKEFLAGS="")
    return [Path(line).stem for line in (checkout / "calls").read_text().splitlines()]


def test_the_demo_run_again_only_shows_its_picture(checkout: Path) -> None:
    assert demo(checkout) == ["make_demo_dataset", "train", "test", "contact_sheet"]
    assert demo(checkout) == ["contact_sheet"]


def test_an_interrupted_demo_goes_on_where_it_stopped(checkout: Path) -> None:
    (checkout / "failure").write_text("1")
    assert demo(checkout, code=2) == ["make_demo_dataset", "train"]
    (checkout / "failure").unlink()
    assert demo(checkout) == ["train", "test", "contact_sheet"]
    assert [path.name for path in (checkout / "work_dirs").iterdir()] == ["demo"]


@pytest.mark.parametrize(
    "changed", ["deeplabv3plus_r18beta_demo.py", "_base_/schedules/schedule_30k.py"]
)
def test_a_changed_recipe_trains_again_and_keeps_what_the_old_one_gave(
    checkout: Path, changed: str
) -> None:
    demo(checkout)
    before = (checkout / "work_dirs/demo/weights").read_text()
    os.utime(checkout / "work_dirs/demo/trained", (1_000_000_000, 1_000_000_000))
    with (checkout / "configs" / changed).open("a") as config:
        config.write("# changed\n")
    assert demo(checkout) == ["train", "test", "contact_sheet"]
    (kept,) = (checkout / "work_dirs").glob("demo-2001*")
    assert (kept / "weights").read_text() == before


# Stands in for a Python of the system: an environment's is a copy of it, and fails with `failure`.
RUNS_TESTS = """\
#!/bin/sh
case "$*" in
    "-m venv "*) mkdir -p "$4/bin" && cp "$0" "$4/bin/python" ;;
    *" pytest "*) echo "$0" >> calls; exit "$(cat failure 2>/dev/null || echo 0)" ;;
esac
"""


@pytest.fixture
def test_reader(checkout: Path):
    """Run ``make test-reader`` for Pythons of which ours1 and ours2 are there; its last line."""
    for name in ("ours1", "ours2"):
        write_script(checkout / "bin" / name, RUNS_TESTS)

    def run(pythons: str, *, code: int = 0) -> str:
        command = ("make", "-s", "test-reader", f"READER_PYTHONS={pythons}")
        path = os.pathsep.join([str(checkout / "bin"), os.environ["PATH"]])
        process = run_command(*command, cwd=checkout, code=code, MAKEFLAGS="", PATH=path)
        return process.stdout.splitlines()[-1]

    return run


def test_the_reader_is_tested_on_the_pythons_that_are_there(checkout: Path, test_reader) -> None:
    line = test_reader("ours1 absent1 ours2 absent2")
    assert line == "tested: ours1 ours2; absent: absent1 absent2"
    assert len((checkout / "calls").read_text().splitlines()) == 2
    assert test_reader("ours1") == "tested: ours1; absent: none"


def test_a_reader_that_was_tested_nowhere_or_failed_is_no_success(
    checkout: Path, test_reader
) -> None:
    assert test_reader("absent1 absent2", code=2) == "tested: none; absent: absent1 absent2"
    (checkout / "failure").write_text("1")
    test_reader("ours1 ours2", code=2)
    assert len((checkout / "calls").read_text().splitlines()) == 1


@pytest.fixture
def make_env(tmp_path: Path):
    """Run tools/make_env.sh with the stand-in; returns what that was asked to run."""
    python = write_script(tmp_path / "python", MAKES_ENVIRONMENTS.format(folder=tmp_path))
    for name in ("fails", "offered"):
        (tmp_path / name).touch()

    def run(*, code: int = 0, gpu: bool = False) -> tuple[list[str], str]:
        write_script(tmp_path / "bin/nvidia-smi", f"#!/bin/sh\nexit {int(not gpu)}\n")
        (tmp_path / "calls").write_text("")
        process = run_command(
            *("bash", REPO / "tools/make_env.sh", "openmmlab", tmp_path / "venv"),
            cwd=tmp_path,
            code=code,
            PYTHON=str(python),
            PATH=os.pathsep.join([str(tmp_path / "bin"), os.environ["PATH"]]),
        )
        return (tmp_path / "calls").read_text().splitlines(), process.stderr

    return run


def installed(calls: list[str], what: str) -> list[str]:
    return [call.split(" install ")[1] for call in calls if " install " in call and what in call]


def test_a_ready_environment_is_left_as_it_is(make_env, tmp_path: Path) -> None:
    calls, _ = make_env()
    assert f"-m venv --clear {tmp_path / 'venv'}" in calls
    assert calls[-1] == "-m mmseg_deeplab_ext check"
    calls, _ = make_env()
    assert [call for call in calls if call.startswith("-m")] == []


def test_an_environment_without_pip_is_made_again(make_env, tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    _, message = make_env(code=2)
    assert "apt install python3-venv" in message
    (tmp_path / "broken").unlink()
    calls, _ = make_env()
    assert f"-m venv --clear {tmp_path / 'venv'}" in calls
    assert installed(calls, "mmcv==") == ["--no-build-isolation mmcv==2.1.0"]


@pytest.mark.parametrize(
    ("gpu", "offered", "build"),
    [
        (True, "2.13.0+cpu, 2.13.0", "torch==2.13.0"),
        (False, "2.13.0+cpu, 2.13.0", "torch==2.13.0+cpu"),
        (False, "2.13.0, 2.12.0", "torch==2.13.0"),
    ],
)
def test_a_cpu_build_of_torch_is_taken_where_there_is_one_and_no_gpu(
    make_env, tmp_path: Path, gpu: bool, offered: str, build: str
) -> None:
    (tmp_path / "fails").write_text("torch")
    (tmp_path / "offered").write_text(f"Available versions: {offered}\n")
    calls, _ = make_env(gpu=gpu)
    assert installed(calls, "torch==") == [build]


def test_an_mmcv_that_does_not_fit_is_compiled_again_without_pips_cache(
    make_env, tmp_path: Path
) -> None:
    (tmp_path / "fails").write_text("mmcv.ops")
    calls, _ = make_env()
    first, again = installed(calls, "mmcv==")
    assert "--no-cache-dir" not in first
    assert "--no-cache-dir" in again
    assert "--force-reinstall" in again


def test_a_folder_that_is_no_environment_is_not_cleared(make_env, tmp_path: Path) -> None:
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv/thesis.txt").write_text("ten years of work")
    _, message = make_env(code=2)
    assert "is no virtual environment: remove it, or name another folder" in message
    assert (tmp_path / "venv/thesis.txt").exists()
