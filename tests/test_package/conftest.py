"""A tiny data set for trainings of two iterations."""

import pytest

from mmseg_deeplab_ext.datasets.demo_dataset import DemoSpec, make_demo_dataset


@pytest.fixture(scope="session")
def scenes(tmp_path_factory):
    """Four training and two validation scenes in VOC's layout."""
    root = tmp_path_factory.mktemp("package") / "scenes"
    make_demo_dataset(root, DemoSpec(train=4, val=2))
    return root
