"""The checked loading transforms in the place of the stock ones, in a data loader's config."""

import pytest
from mmcv.transforms import LoadImageFromFile
from mmengine.config import ConfigDict
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.utils import register_all_modules

from mmseg_deeplab_ext.launch.checked_loading import checked_loader

IMAGE = "mmseg_deeplab_ext.CheckedLoadImageFromFile"
LABELS = "mmseg_deeplab_ext.CheckedLoadAnnotations"


@pytest.fixture(scope="module", autouse=True)
def _mmseg_scope():
    register_all_modules()


def dataset(pipeline, *, classes=("a", "b", "c")):
    metainfo = None if classes is None else {"classes": classes}
    return {"type": "BaseSegDataset", "metainfo": metainfo, "pipeline": pipeline}


def after(*steps, **keys):
    """Return a pipeline's steps as they are used."""
    loader = ConfigDict(dataset=dataset(list(steps), **keys))
    return checked_loader(loader)["dataset"]["pipeline"]


@pytest.mark.parametrize("kind", ["LoadImageFromFile", LoadImageFromFile])
def test_images_are_loaded_checked_with_the_same_arguments(kind):
    (step,) = after({"type": kind, "to_float32": True})
    assert step == {"type": IMAGE, "to_float32": True}


@pytest.mark.parametrize("kind", ["LoadAnnotations", "mmseg.LoadAnnotations", LoadAnnotations])
def test_labels_are_checked_against_the_classes_of_their_data_set(kind):
    (step,) = after({"type": kind, "reduce_zero_label": True})
    expected = {"type": LABELS, "reduce_zero_label": True, "num_classes": 3, "ignore_index": 255}
    assert step == expected


def test_the_classes_may_be_those_of_the_data_sets_type():
    loader = ConfigDict(
        dataset={"type": "PascalVOCDataset", "pipeline": [{"type": "LoadAnnotations"}]}
    )
    (step,) = checked_loader(loader, ignore_index=250).dataset.pipeline
    assert (step.num_classes, step.ignore_index) == (21, 250)


def test_steps_inside_other_transforms_are_found():
    inner = [[{"type": "RandomFlip"}], [{"type": "LoadAnnotations"}]]
    (step,) = after({"type": "TestTimeAug", "transforms": inner})
    assert step["transforms"][0][0] == {"type": "RandomFlip"}
    assert step["transforms"][1][0]["type"] == LABELS


class OwnLabels(LoadAnnotations):
    """A subclass may read its files in a way of its own."""


@pytest.mark.parametrize("kind", [OwnLabels, "LoadImageFromNDArray", "mmcv.LoadAnnotations"])
def test_other_types_stay(kind):
    (step,) = after({"type": kind})
    assert step == {"type": kind}


def test_labels_of_unknown_classes_stay_and_images_do_not():
    image, labels = after({"type": "LoadImageFromFile"}, {"type": "LoadAnnotations"}, classes=None)
    assert (image["type"], labels["type"]) == (IMAGE, "LoadAnnotations")


def test_data_sets_that_share_a_pipeline_get_their_own_number_of_classes():
    pipeline = [{"type": "LoadAnnotations"}]
    parts = [dataset(pipeline, classes=("a",)), dataset(pipeline, classes=("a", "b"))]
    loader = {"dataset": {"type": "ConcatDataset", "datasets": parts}}
    checked = checked_loader(loader)["dataset"]["datasets"]
    assert [part["pipeline"][0]["num_classes"] for part in checked] == [1, 2]
    assert pipeline == [{"type": "LoadAnnotations"}]
