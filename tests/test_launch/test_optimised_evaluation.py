"""An evaluation runs an optimised copy, and gives the Runner its own model back."""

import copy
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.model import is_model_wrapper
from mmengine.registry import MODEL_WRAPPERS
from mmseg.registry import MODELS
from mmseg.utils import register_all_modules
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmseg_deeplab_ext.launch.optimised_evaluation import OptimisedEvaluationHook

register_all_modules()
SEGMENTOR = dict(
    type="EncoderDecoder",
    data_preprocessor=dict(type="SegDataPreProcessor", mean=[123.675] * 3, std=[58.395] * 3),
    backbone=dict(type="mmseg_deeplab_ext.MobileNetV2", widen_factor=0.25),
    decode_head=dict(type="FCNHead", in_channels=80, in_index=3, channels=8, num_classes=5),
    test_cfg=dict(mode="whole"),
)


@MODEL_WRAPPERS.register_module()
class WrapperOfThisTest(nn.Module):
    """As MMDistributedDataParallel holds a model."""

    def __init__(self, module):
        super().__init__()
        self.module = module


def plain():
    return MODELS.build(ConfigDict(copy.deepcopy(SEGMENTOR)))


def augmented():
    config = dict(type="mmseg_deeplab_ext.DeepLabTTAModel", module=SEGMENTOR, scales=(1.0,))
    return MODELS.build(ConfigDict(copy.deepcopy(config)))


def norms(model):
    return sum(isinstance(module, _BatchNorm) for module in model.modules())


@pytest.mark.parametrize("make", [plain, augmented, lambda: WrapperOfThisTest(plain())])
def test_the_copy_is_there_for_one_epoch(make):
    model = make()
    runner = SimpleNamespace(model=model)
    before, count = copy.deepcopy(model.state_dict()), norms(model)
    hook = OptimisedEvaluationHook()
    hook.before_test_epoch(runner)
    assert not is_model_wrapper(runner.model)
    assert norms(runner.model) == 0
    hook.after_test_epoch(runner)
    assert runner.model is model
    assert norms(model) == count > 0
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_weights_are_those_of_the_moment_when_the_epoch_begins():
    runner = SimpleNamespace(model=plain())
    hook = OptimisedEvaluationHook()
    bias = runner.model.decode_head.conv_seg.bias
    for value in (1.0, 2.0):
        bias.data.fill_(value)
        hook.before_test_epoch(runner)
        assert (runner.model.decode_head.conv_seg.bias == value).all()
        hook.after_test_epoch(runner)


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_in_half_precision_images_are_normalised_and_logits_resized_in_float32(dtype):
    model = plain().eval()
    runner = SimpleNamespace(model=model)
    OptimisedEvaluationHook(dtype).before_test_epoch(runner)
    images = {"inputs": [torch.randint(0, 256, (3, 65, 65), dtype=torch.uint8)]}
    ours, theirs = (each.data_preprocessor(images)["inputs"] for each in (runner.model, model))
    assert torch.equal(ours, theirs)
    with torch.no_grad():
        found, expected = runner.model(ours), model(theirs)
    assert found.dtype == torch.float32
    assert 0 < (found - expected).abs().max() <= 0.05 * expected.abs().max()
