"""The segmentor that configs name for sliding windows predicts what MMSegmentation's does."""

import copy

import pytest
import torch
from mmengine.config import ConfigDict
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from mmseg.utils import register_all_modules

from tests.support.deterministic import make_image
from tests.support.segmentors import batch_of
from tests.test_prediction.conftest import CONFIG

OURS = "mmseg_deeplab_ext.SlidingEncoderDecoder"


@pytest.fixture(scope="module")
def model():
    """The config of the prediction tests' tiny network, whose window is smaller than its images."""
    register_all_modules()
    values = {}
    exec(CONFIG, values)
    return {**values["model"], "test_cfg": dict(mode="slide", crop_size=(33, 33), stride=(20, 20))}


@pytest.mark.parametrize("changes", [{}, {"test_cfg": dict(mode="whole")}], ids=["slide", "whole"])
def test_predictions_are_mmsegmentations_with_and_without_logits(model, changes, monkeypatch):
    # As if the colours were logits; each window has others.
    window = lambda model, inputs, metas: inputs - inputs.mean()  # noqa: E731
    monkeypatch.setattr(EncoderDecoder, "encode_decode", window)
    batch = batch_of(make_image(60, 75, 0))
    kinds = [dict(type="EncoderDecoder"), dict(type=OURS), dict(type=OURS, seg_logits=False)]
    stock, ours, bare = (
        MODELS.build(ConfigDict({**model, **changes, **kind})).test_step(copy.deepcopy(batch))[0]
        for kind in kinds
    )
    expected = stock.pred_sem_seg.data
    assert len(expected.unique()) == 3
    assert torch.equal(ours.pred_sem_seg.data, expected)
    assert torch.equal(bare.pred_sem_seg.data, expected)
    assert torch.equal(ours.seg_logits.data, stock.seg_logits.data)
    assert ("seg_logits" in bare) == (changes != {})
