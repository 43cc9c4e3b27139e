"""What importing the package pulls in, and which of its parts may import which."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import mmseg_deeplab_ext
from tests.conftest import STACKLESS, TESTS
from tests.support.processes import run_python

REPO = Path(__file__).resolve().parents[2]
PACKAGE = REPO / "mmseg_deeplab_ext"
HOSTS = {"torch", "torchvision", "mmengine", "mmcv", "mmseg"}

# Part of the package -> the parts that its modules may import, besides itself and `errors`.
MAY_IMPORT = {
    "errors": set(),
    "hosts": set(),
    "atomic_files": set(),
    "building": set(),
    "config_values": set(),
    "progress": set(),
    "safe_globals": set(),
    "tool_paths": set(),
    "visualization": {"config_view"},
    "wording": set(),
    "writable": set(),
    "__init__": set(),
    "registry": set(),
    "compat": {"hosts"},
    "download": {"progress"},
    "plugins": {"compat", "registry", "safe_globals"},
    "utils": {"registry"},
    "config_view": {"registry"},
    "specs": {"config_values", "wording"},
    "layers": {"config_values", "registry", "specs"},
    "backbones": {"config_values", "layers", "registry", "specs", "wording"},
    "decode_heads": {"config_values", "layers", "registry", "specs"},
    "losses": {"config_values", "registry"},
    "segmentors": {"config_values", "inference", "layers", "registry"},
    "checkpoints": {"atomic_files", "download", "wording", "writable"},
    "conversion": {
        *("atomic_files", "checkpoints", "config_values", "config_view", "datasets"),
        *("layers", "registry", "safe_globals", "specs", "tool_paths", "wording", "writable"),
    },
    "datasets": {
        *("atomic_files", "config_values", "download", "layers", "progress", "registry"),
        "wording",
    },
    "engine": {"config_values", "registry", "specs"},
    "inference": {"building", "config_view", "conversion", "layers", "specs"},
    "launch": {
        *("building", "config_values", "config_view", "conversion", "datasets", "engine"),
        *("inference", "registry", "specs", "tool_paths", "wording", "writable"),
    },
    "export": {
        *("atomic_files", "config_values", "config_view", "inference", "launch", "layers"),
        "writable",
    },
    "prediction": {
        *("atomic_files", "building", "config_view", "conversion", "datasets", "inference"),
        *("launch", "progress", "wording", "writable"),
    },
    "__main__": {"backbones", "building", "checkpoints", "compat", "hosts"},
}

# What works where PyTorch and MMSegmentation are absent: these modules and rooms.
HOST_FREE = {
    *("__init__.py", "__main__.py", "atomic_files.py", "compat.py", "config_values.py"),
    *("download.py", "errors.py", "hosts.py", "progress.py", "tool_paths.py"),
    *("wording.py", "writable.py", "checkpoints", "specs"),
}
# zoo.py asks PyTorch, if it is there, where its cache is.
WITH_TORCH = {"checkpoints/zoo.py"}


def python_files():
    files = sorted(PACKAGE.rglob("*.py"))
    return [path.relative_to(PACKAGE) for path in files if ".mim" not in path.parts]


def imported_modules(path):
    """Absolute names of all modules that a file of the package imports."""
    tree = ast.parse((PACKAGE / path).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            package = ["mmseg_deeplab_ext", *path.parts][: -node.level]
            names = [node.module] if node.module else [alias.name for alias in node.names]
            yield from (".".join([*package, name]) for name in names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            if node.module == "mmseg_deeplab_ext":
                yield from (f"mmseg_deeplab_ext.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", python_files(), ids=str)
def test_imports_go_one_way(path):
    part = path.parts[0].replace(".py", "")
    assert part in MAY_IMPORT, f"say in MAY_IMPORT what {part} may import"
    allowed = MAY_IMPORT[part] | {part, "errors", "__version__"}
    for name in imported_modules(path):
        package, _, rest = name.partition(".")
        assert package not in {"tools", "configs", "tests"}, f"{path} imports {name}"
        if package == "mmseg_deeplab_ext" and rest:
            assert rest.split(".")[0] in allowed, f"{path} imports {name}"


def test_specs_checkpoints_and_checking_the_environment_need_no_host_package():
    files = [path for path in python_files() if path.parts[0] in HOST_FREE]
    assert {path.parts[0] for path in files} == HOST_FREE
    for path in files:
        if str(path) not in WITH_TORCH:
            hosts = {name.split(".")[0] for name in imported_modules(path)} & HOSTS
            assert not hosts, f"{path} imports {hosts}"


def test_the_registry_module_imports_nothing_of_ours():
    modules = {name.split(".")[0] for name in imported_modules(Path("registry.py"))}
    assert modules == {"__future__", "mmengine", "mmseg"}


def test_importing_the_package_loads_no_host_package_and_leaves_the_environment_unchecked(tmp_path):
    run_python(
        f"""
        import sys
        import mmseg_deeplab_ext
        import mmseg_deeplab_ext.checkpoints
        import mmseg_deeplab_ext.plugins
        import mmseg_deeplab_ext.__main__
        dir(mmseg_deeplab_ext)
        loaded = {{name.split(".")[0] for name in sys.modules}}
        assert not loaded & {HOSTS!r}, loaded
        assert "mmseg_deeplab_ext.errors" in sys.modules
        """,
        cwd=tmp_path,
    )


def test_networks_are_imported_and_found_in_the_registry_where_fcntl_does_not_exist(tmp_path):
    run_python(
        """
        import sys
        import torch, mmseg.models  # whatever these do without it is not our affair
        sys.modules["fcntl"] = None
        from mmseg_deeplab_ext.backbones import MobileNetV2
        from mmseg_deeplab_ext.decode_heads import DeepLabV3PlusHead
        from mmseg.registry import MODELS
        assert MODELS.get("mmseg_deeplab_ext.MobileNetV2") is MobileNetV2
        assert not [name for name in sys.modules if name.endswith(".download")]
        """,
        cwd=tmp_path,
    )


def test_a_network_imported_by_hand_knows_the_addresses_of_tensorflow(tmp_path):
    run_python(
        """
        import pytest
        import mmseg_deeplab_ext
        from mmseg_deeplab_ext.errors import CheckpointNotFoundError
        network = mmseg_deeplab_ext.MobileNetV2(
            0.5, init_cfg=dict(type="Pretrained", checkpoint="tf://absent")
        )
        with pytest.raises(CheckpointNotFoundError, match="absent"):
            network.init_weights()
        # The loaders of users' other files stay MMEngine's; only our tools change them.
        mmseg_deeplab_ext.load_plugins()
        from mmengine.runner.checkpoint import CheckpointLoader, load_from_local
        assert CheckpointLoader._get_checkpoint_loader("a.pth") is load_from_local
        """,
        cwd=tmp_path,
    )


def test_every_registered_class_is_a_name_of_the_package():
    from mmseg_deeplab_ext.registry import OWN

    registered = {}
    for child in OWN:
        child.import_from_location()
        registered.update(child.module_dict)
    assert registered
    for name, cls in registered.items():
        assert name in dir(mmseg_deeplab_ext), name
        assert getattr(mmseg_deeplab_ext, name) is cls
    for name in mmseg_deeplab_ext.__all__:
        assert getattr(mmseg_deeplab_ext, name) is not None


def test_an_unknown_name_of_the_package_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'ResNetV9'"):
        mmseg_deeplab_ext.ResNetV9  # noqa: B018


def test_all_sources_are_valid_for_python_3_8():
    files = [REPO / "setup.py"]
    for folder in (PACKAGE, REPO / "configs", REPO / "tools", REPO / "tests"):
        files += folder.rglob("*.py")
    for path in files:
        ast.parse(path.read_text(encoding="utf-8"), filename=str(path), feature_version=(3, 8))


def test_the_tests_that_are_named_stackless_load_nothing_of_a_stack() -> None:
    run_python(
        f"""
        import sys
        import pytest

        sys.modules.update(dict.fromkeys(["mmengine", "mmcv", "mmseg"]))  # an import of them fails
        tests = {[str(TESTS / name) for name in STACKLESS]}
        code = pytest.main(["--collect-only", "-qq", "-p", "no:cacheprovider", *tests])
        sys.exit(code)
        """,
        cwd=REPO,
    )
