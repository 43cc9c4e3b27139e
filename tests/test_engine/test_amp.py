"""Mixed precision on a CPU."""

import torch
from mmengine.optim import OptimWrapper
from torch import nn

from mmseg_deeplab_ext.launch.adapt.amp import CPU_AMP
from mmseg_deeplab_ext.registry import OPTIM_WRAPPERS


def test_the_cpu_wrapper_computes_in_bfloat16_and_updates_float32_weights():
    model = nn.Linear(4, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    wrapper = OPTIM_WRAPPERS.build({"type": CPU_AMP, "optimizer": optimizer})
    assert isinstance(wrapper, OptimWrapper)
    before = model.weight.detach().clone()
    with wrapper.optim_context(model):
        output = model(torch.ones(2, 4))
    assert output.dtype == torch.bfloat16
    wrapper.update_params(output.float().square().mean())
    assert model.weight.dtype == torch.float32
    assert not torch.equal(model.weight, before)
