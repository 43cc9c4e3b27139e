"""Small data sets for the tests of the data set tools."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.voc_layout import write_voc_folder


@pytest.fixture
def voc_folder(tmp_path: Path) -> Path:
    """A folder named VOC2012 with two training images, one for validation and one of SBD."""
    return write_voc_folder(tmp_path / "VOCdevkit" / "VOC2012")
