"""The scripts in tools/ and benchmarks/ as modules, so that a test can run them in its process."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

REPO = Path(__file__).resolve().parents[2]
TOOLS = REPO / "tools"


def load_script(path: str) -> ModuleType:
    """Import a file of the repository, under a name that no package has."""
    name = "deeplab_" + path.replace("/", "_").replace(".py", "")
    spec = importlib.util.spec_from_file_location(name, REPO / path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def load_tool(name: str) -> ModuleType:
    """Import ``tools/<name>.py``."""
    return load_script(f"tools/{name}.py")
