"""Which tests are the same on every stack, and the order in which workers share the files."""

from __future__ import annotations

import gc
from collections import Counter
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
# They use nothing of MMEngine, MMCV and MMSegmentation.
STACKLESS = (
    "test_checkpoints",
    "test_conversion/test_plan.py",
    "test_datasets/test_aligned_resize.py",
    "test_datasets/test_download.py",
    "test_download.py",
    "test_package/test_makefile.py",
    "test_package/test_metadata.py",
    "test_package/test_model_index.py",
    "test_progress.py",
    "test_specs/test_dense_prediction_cell.py",
    "test_specs/test_detect.py",
    "test_specs/test_documentation.py",
    "test_specs/test_nearest.py",
    "test_specs/test_rules.py",
    "test_writable.py",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests that are the same on every stack; files with slow tests are started first."""
    stackless = [TESTS / name for name in STACKLESS]
    for item in items:
        if any(path in (item.path, *item.path.parents) for path in stackless):
            item.add_marker(pytest.mark.stackless)
    if hasattr(config, "workerinput"):  # a worker of pytest-xdist
        slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
        items.sort(key=lambda item: -slow[item.path])


def pytest_collection_finish() -> None:
    """Spare the collector what the imports left: each of MMEngine's data sets calls it."""
    gc.collect()
    gc.freeze()
