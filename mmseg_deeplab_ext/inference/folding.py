"""Batch norms folded into the convolutions before them."""

from __future__ import annotations

import copy

import torch
from mmcv.cnn import fuse_conv_bn
from torch import nn


def folded(module: nn.Module) -> nn.Module:
    """Copy a module in evaluation mode, with every batch norm folded into its convolution.

    The kernels are multiplied in float64 and rounded once.
    """
    dtype = next(module.parameters()).dtype
    with torch.no_grad():
        return fuse_conv_bn(copy.deepcopy(module).double()).to(dtype).eval()
