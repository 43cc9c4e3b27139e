"""Classification networks with lively weights, and the proof of their dense ones."""

import torch
from torch import nn

from mmseg_deeplab_ext.layers.atrous import apply_plan, plan_output_stride, trace
from mmseg_deeplab_ext.layers.atrous.proof import prove

SIZE = (65, 97)


def lively(model, seed=0):
    """Draw what a fresh network has only zeros and ones of, in place; returns it."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, (nn.modules.batchnorm._BatchNorm, nn.GroupNorm)):
            for tensor in (module.weight, module.bias):
                nn.init.uniform_(tensor, 0.5, 1.5, generator=generator)
        if getattr(module, "running_mean", None) is not None:
            module.running_mean.uniform_(-0.5, 0.5, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
    model.eval()  # MMSegmentation's return nothing
    return model


def proof_of(model, output_stride, *, image_size=SIZE):
    """The proof, and the plan, for a network at an output stride."""
    seen = trace(model, image_size)
    plan = plan_output_stride(seen, output_stride)
    dense = apply_plan(model, plan)
    return prove(model, dense, seen, plan, image_size=image_size), plan
