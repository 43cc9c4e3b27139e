"""The loader of the entry-point group, on real distributions in a folder on the path.

All but the last test leave our own plugin out by ``MMSEG_PLUGINS``, and with it PyTorch and
MMSegmentation: a process then takes a fraction of a second.
"""

from __future__ import annotations

import pytest

from mmseg_deeplab_ext import plugins
from tests.support.distributions import add_distribution
from tests.support.processes import run_python

LOAD = """
    from mmseg_deeplab_ext import load_plugins
    print("LOADED", load_plugins())
"""
LOAD_TWICE = LOAD + LOAD


@pytest.fixture
def site(tmp_path):
    """Two plugins that print when they run, and two that fail, in import and when called."""
    folder = tmp_path / "site"
    good = 'def register():\n    print("RUN", __name__)\n'
    members = {
        "zebra": good,
        "apple": good,
        "typo": "import a_module_that_nobody_has\n",
        "crash": 'def register():\n    raise ValueError("no such thing as 7 up")\n',
    }
    for name, source in members.items():
        add_distribution(
            folder,
            f"{name}-for-mmseg",
            modules={f"{name}_plugin.py": source},
            entry_points=f"[mmseg.plugins]\n{name} = {name}_plugin:register\n",
        )
    return folder


@pytest.fixture
def load(site, tmp_path):
    """Run a source in a fresh interpreter with the plugins on its path."""

    def run(source, *, names, **options):
        path = f"{site}:{plugins.__file__.rsplit('/', 2)[0]}"
        return run_python(source, cwd=tmp_path, PYTHONPATH=path, MMSEG_PLUGINS=names, **options)

    return run


def test_plugins_are_loaded_sorted_by_name_and_once_per_process(load):
    output = load(LOAD_TWICE, names="zebra,apple").stdout.splitlines()
    loaded = "LOADED ['apple', 'zebra']"
    assert output == ["RUN apple_plugin", "RUN zebra_plugin", loaded, loaded]


def test_the_allow_list_keeps_the_others_out(load):
    assert load(LOAD, names=" zebra ").stdout.splitlines() == [
        "RUN zebra_plugin",
        "LOADED ['zebra']",
    ]


def test_an_empty_allow_list_loads_nothing(load):
    process = load(LOAD, names="")
    assert process.stdout.splitlines() == ["LOADED []"]
    assert process.stderr == ""


def test_a_failing_plugin_is_left_out_with_one_warning_that_names_it(load):
    process = load(LOAD, names="apple,crash,typo,zebra")
    assert process.stdout.splitlines()[-1] == "LOADED ['apple', 'zebra']"
    warnings = [line for line in process.stderr.splitlines() if "UserWarning" in line]
    assert len(warnings) == 2
    assert "'crash' of the installed package 'crash-for-mmseg'" in warnings[0]
    assert "ValueError: no such thing as 7 up" in warnings[0]
    assert "'typo' of the installed package 'typo-for-mmseg'" in warnings[1]
    assert "ModuleNotFoundError: No module named 'a_module_that_nobody_has'" in warnings[1]


def test_a_failing_plugin_is_not_run_again(load):
    source = """
        import warnings
        from mmseg_deeplab_ext import load_plugins
        with warnings.catch_warnings(record=True):
            load_plugins()
        import crash_plugin
        crash_plugin.register = lambda: print("RUN AGAIN")
        print("LOADED", load_plugins())
    """
    assert load(source, names="crash").stdout.splitlines() == ["LOADED []"]


@pytest.mark.parametrize("how", ["argument", "variable"])
def test_strict_mode_raises_and_names_all_failures(load, how):
    source = LOAD if how == "variable" else LOAD.replace("load_plugins()", "load_plugins(strict=1)")
    strict = {"MMSEG_PLUGINS_STRICT": "1"} if how == "variable" else {}
    process = load(source, names="apple,crash,typo", code=1, **strict)
    error = process.stderr.split("EnvironmentNotReadyError: ")[1]
    assert "'crash'" in error
    assert "'typo'" in error
    assert "LOADED" not in process.stdout


def test_a_name_that_nothing_has_is_reported_with_those_there_are(load):
    warning = load(LOAD, names="aple").stderr
    assert "MMSEG_PLUGINS names 'aple', which no installed package registers" in warning
    assert "there are: apple, crash, mmseg_deeplab_ext, typo, zebra" in warning


def test_broken_metadata_of_another_group_is_no_concern_of_ours(load, site):
    add_distribution(site, "garbled", entry_points="[console_scripts]\nno equals sign\n")
    process = load(LOAD, names="apple")
    assert process.stdout.splitlines()[-1] == "LOADED ['apple']"
    assert process.stderr == ""


def test_broken_metadata_of_the_group_is_a_failure_that_names_the_package(load, site):
    add_distribution(site, "garbled", entry_points="[mmseg.plugins]\nno equals sign\n")
    process = load(LOAD, names="apple")
    assert process.stdout.splitlines()[-1] == "LOADED ['apple']"
    assert process.stderr.count("UserWarning") == 1
    assert "'garbled'" in process.stderr


def test_a_strictness_that_is_neither_0_nor_1_is_refused(load):
    process = load(LOAD, names="", MMSEG_PLUGINS_STRICT="yes", code=1)
    assert "MMSEG_PLUGINS_STRICT is 'yes', allowed are 0 and 1" in process.stderr
