"""Batch norms folded into the convolutions before them."""

from __future__ import annotations

import copy

import torch
from mmcv.cnn import fuse_conv_bn
from torch import nn


def folded(module: nn.Module) -> nn.Module:
    """Copy a module in evaluation mode, with every batch norm folded into its convolution.

    The kernels are multiplied in float64 and rounded once. MMCV takes the batch norm that follows a
    convolution in a module for the convolution's. Modules whose ``children_in_any_order`` says that
    this need not be so, or that their batch norms do more, are left as they are.
    """
    dtype = next(module.parameters()).dtype
    copied = copy.deepcopy(module).double()
    strangers = [m for m in copied.modules() if getattr(m, "children_in_any_order", False)]
    children = [dict(each.named_children()) for each in strangers]
    for each in strangers:
        each._modules.clear()
    with torch.no_grad():
        fused = fuse_conv_bn(copied)
    for each, parts in zip(strangers, children):
        each._modules.update(parts)
    return fused.to(dtype).eval()
