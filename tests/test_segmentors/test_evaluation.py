"""Evaluation through MMSegmentation's own steps equals the official one."""

import numpy as np
import pytest
import torch
from mmseg.evaluation import IoUMetric
from mmseg.utils import register_all_modules

from tests.data.make_goldens import sample
from tests.support.deterministic import make_image
from tests.support.evaluation_goldens import stored
from tests.support.golden_files import MANIFEST, full, reduced
from tests.support.segmentors import batch_of, segmentor_of

register_all_modules()
FOLDER = "deeplabv3plus"
SEGMENTORS = {  # golden file -> config
    "r50b_v3plus_os16_padded_img49x70_crop65x97": (
        f"{FOLDER}/deeplabv3plus_r50beta-d16_b16-30k_voc12-513x513.py"
    ),
    "r18b_v3plus_os16_padded_img49x70_crop65x97": (
        f"{FOLDER}/deeplabv3plus_r18beta-d16_b16-30k_voc12-513x513.py"
    ),
    "r101b_v3plus_os8_mg124_65x97": (f"{FOLDER}/deeplabv3plus_r101beta-d8_eval_voc12-513x513.py"),
}


@pytest.mark.parametrize("name", SEGMENTORS)
def test_the_segmentors_own_prediction_equals_tensorflows(name):
    """Preprocessor (normalise, pad), network, upsampling, and the padding cut off again."""
    options = MANIFEST["networks"][name]["options"]
    segmentor = segmentor_of(options, SEGMENTORS[name])
    height, width = options["image_size"]
    batch = batch_of(make_image(height, width, options["image_seed"]))
    with torch.no_grad():
        prepared = segmentor.data_preprocessor(batch, False)
        assert list(prepared["inputs"].shape[-2:]) == options["crop_size"]
        logits = segmentor(prepared["inputs"], mode="tensor").permute(0, 2, 3, 1).numpy()
        (result,) = segmentor.test_step(batch)

    described = MANIFEST["networks"][name]["arrays"]["logits"]
    error = np.abs(sample(logits) - reduced(name)["logits"]).max() / described["max"]
    assert error <= 1e-5
    whole = full(name)
    assert whole is None or np.abs(logits - whole["logits"]).max() <= 1e-5 * described["max"]
    expected = reduced(name)["prediction"][0, :height, :width]
    assert result.seg_logits.data.shape[-2:] == (height, width)
    assert np.array_equal(result.pred_sem_seg.data[0].numpy(), expected)


def test_mmsegs_mean_iou_equals_tensorflows():
    golden = stored("aux_miou")
    classes = [f"class {number}" for number in range(golden["num_classes"])]
    labels = np.where(golden["weights"] == 0, 255, golden["labels"])
    metric = IoUMetric(ignore_index=255)
    metric.dataset_meta = dict(classes=classes)
    for part in np.array_split(np.arange(len(labels)), 3):  # three images
        truth = torch.from_numpy(labels[part][None].astype(np.int64))
        predicted = torch.from_numpy(golden["predictions"][part][None].astype(np.int64))
        metric.process({}, [dict(pred_sem_seg=dict(data=predicted), gt_sem_seg=dict(data=truth))])
    intersection = sum(result[0] for result in metric.results).numpy()
    union = sum(result[1] for result in metric.results).numpy()
    confusion = golden["confusion"]
    assert np.array_equal(intersection, np.diag(confusion))
    assert np.array_equal(union, confusion.sum(0) + confusion.sum(1) - np.diag(confusion))
    assert (union == 0).any(), "without an absent class the means may agree by chance"
    scores = metric.compute_metrics(metric.results)
    assert scores["mIoU"] == pytest.approx(100 * float(golden["mean_iou"]), abs=0.005001)
