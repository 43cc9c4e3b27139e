"""Batch norms that keep their moving statistics in training."""

from types import SimpleNamespace

import torch
from torch import nn

from mmseg_deeplab_ext.engine import FreezeBatchNormHook
from mmseg_deeplab_ext.registry import HOOKS


def trained(*, frozen):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.BatchNorm2d(4)), nn.Dropout(0.5))
    model.train()
    if frozen:
        hook = HOOKS.build({"type": "mmseg_deeplab_ext.FreezeBatchNormHook"})
        hook.before_train_iter(SimpleNamespace(model=model), batch_idx=0)
    model(torch.randn(2, 3, 5, 5)).square().sum().backward()
    return model


def test_moving_statistics_stay_and_gamma_and_beta_still_get_gradients():
    norm = trained(frozen=True)[1][0]
    assert torch.equal(norm.running_mean, torch.zeros(4))
    assert torch.equal(norm.running_var, torch.ones(4))
    assert norm.weight.grad.abs().min() > 0
    assert norm.bias.grad.abs().min() > 0


def test_without_the_hook_the_moving_statistics_change():
    assert not torch.equal(trained(frozen=False)[1][0].running_mean, torch.zeros(4))


def test_only_batch_norms_are_put_into_evaluation_mode():
    model = trained(frozen=True)
    assert isinstance(
        HOOKS.build({"type": "mmseg_deeplab_ext.FreezeBatchNormHook"}), FreezeBatchNormHook
    )
    assert [module.training for module in model] == [True, True, True]
