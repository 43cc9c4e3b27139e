"""ADE20K with 151 channels and label 0 ignored, against MMSegmentation's 150 shifted classes."""

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.datasets import ADE20KDataset
from mmseg.evaluation import IoUMetric
from mmseg.structures import SegDataSample
from mmseg.utils import register_all_modules

from mmseg_deeplab_ext.conversion.dataset_meta import class_names_and_colours
from mmseg_deeplab_ext.datasets.loading import CheckedLoadAnnotations
from tests.test_datasets.test_loading import sample

SHIFTED = dict(num_classes=150, reduce_zero_label=True)
AS_STORED = dict(num_classes=151, reduce_zero_label=False, ignore_index=0)


@pytest.fixture(autouse=True)
def _mmseg_scope():
    register_all_modules()


@pytest.fixture
def stored():
    """Labels as in the files: 0 is none of the classes."""
    return np.random.default_rng(0).integers(0, 151, (40, 50)).astype(np.uint8)


def logits(labels, *, background):
    """151 channels: the truth leads at most pixels, another class at some.

    Args:
        labels: as stored.
        background: share of the pixels where channel 0 leads, just before the others.
    """
    rng = np.random.default_rng(1)
    values = rng.normal(size=(151, *labels.shape))
    winner = np.where(rng.random(labels.shape) < 0.7, labels, rng.integers(1, 151, labels.shape))
    winner[winner == 0] = 7
    np.put_along_axis(values, winner[None], 20.0, axis=0)
    values[0] = np.where(rng.random(labels.shape) < background, 21.0, -21.0)
    return torch.from_numpy(values)


def evaluate(prediction, labels, *, classes, ignore_index):
    metric = IoUMetric(iou_metrics=["mIoU"], ignore_index=ignore_index)
    metric.dataset_meta = dict(classes=classes)
    result = SegDataSample(
        pred_sem_seg=PixelData(data=prediction[None]),
        gt_sem_seg=PixelData(data=torch.from_numpy(labels.astype(np.int64))[None]),
    )
    metric.process({}, [result.to_dict()])
    return metric.evaluate(1)


def both(stored, folder, *, background):
    """Scores of the 151 channels on stored labels, and of 150 of them on MMSegmentation's."""
    scores = logits(stored, background=background)
    labels = {}
    for options in (AS_STORED, SHIFTED):
        reduce = options["reduce_zero_label"]
        results = sample(folder, stored, reduce_zero_label=reduce)
        labels[reduce] = CheckedLoadAnnotations(**options)(results)["gt_seg_map"]
    whole = evaluate(
        scores.argmax(0),
        labels[False],
        classes=class_names_and_colours(151)["classes"],
        ignore_index=0,
    )
    classes = ADE20KDataset.METAINFO["classes"]
    shifted = evaluate(scores[1:].argmax(0), labels[True], classes=classes, ignore_index=255)
    return whole, shifted


def test_the_classes_are_mmsegs_behind_other():
    assert class_names_and_colours(151)["classes"][1:] == list(ADE20KDataset.METAINFO["classes"])


def test_both_layouts_score_the_same_where_channel_0_never_wins(stored, tmp_path):
    whole, shifted = both(stored, tmp_path, background=0)
    assert 30 < shifted["mIoU"] < 80
    assert whole == shifted


def test_where_channel_0_wins_the_official_layout_misses_and_counts_a_class_of_0(stored, tmp_path):
    never, shifted_never = both(stored, tmp_path, background=0)
    whole, shifted = both(stored, tmp_path, background=0.1)
    # Without channel 0 the second best counts: the scores are those of channel 0 never winning.
    assert shifted == shifted_never
    # With it the pixel is wrong, and "other", predicted but in no label, counts as a class of
    # IoU 0, as in TensorFlow's mean_iou.
    assert whole["aAcc"] < never["aAcc"] - 5
    assert whole["mIoU"] < never["mIoU"] * 150 / 151 - 1


def test_labels_in_the_wrong_layout_are_refused(stored, tmp_path):
    stored[0, 0] = 150
    read = CheckedLoadAnnotations(num_classes=150, reduce_zero_label=False)
    with pytest.raises(ValueError, match="label values 150 are none of the 150 classes"):
        read(sample(tmp_path, stored))
