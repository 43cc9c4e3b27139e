"""The optional packages that an export needs."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from mmseg_deeplab_ext.errors import EnvironmentNotReadyError

PACKAGES = {"onnx": "writes the file", "onnxruntime": "runs it, to verify it"}
"""Package -> what it is needed for."""


def import_onnx_packages() -> list[ModuleType]:
    """Import the packages of `PACKAGES`, in this order.

    Raises:
        EnvironmentNotReadyError: some are missing; the message says how to install them.
    """
    modules, problems = [], []
    for name, purpose in PACKAGES.items():
        try:
            modules.append(import_module(name))
        except ImportError as error:
            problems.append(f"{name}, which {purpose} ({error})")
    if problems:
        raise EnvironmentNotReadyError(
            f"The export needs {' and '.join(problems)}. Install it with `pip install "
            f"{' '.join(PACKAGES)}`, or this package with its extra `export`."
        )
    return modules
