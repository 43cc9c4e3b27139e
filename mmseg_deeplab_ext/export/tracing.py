"""A network made ready for tracing: paddings that follow the image's size."""

from __future__ import annotations

from mmcv.cnn.bricks.conv2d_adaptive_padding import Conv2dAdaptivePadding
from torch import Tensor, nn
from torch.nn import functional as F


def make_traceable(module: nn.Module) -> nn.Module:
    """Let the graph compute what MMCV computes in Python, in place; returns the module."""
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if isinstance(child, Conv2dAdaptivePadding):
                setattr(parent, name, _TracedSameConv2d(child))
    return module


class _TracedSameConv2d(nn.Module):
    """A ``Conv2dAdaptivePadding`` whose padding is computed by the graph.

    MMCV's computes it in Python: the size of the image it was traced with would stay in the graph.

    Args:
        conv: the convolution, whose kernel reaches at least as far as its stride.
    """

    def __init__(self, conv: Conv2dAdaptivePadding) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        """Convolve [N, C, H, W] to [N, C', ceil(H / stride), ceil(W / stride)]."""
        conv = self.conv
        padding = []
        for dim in (1, 0):  # F.pad begins with the last dimension
            reach = (conv.kernel_size[dim] - 1) * conv.dilation[dim]
            total = reach - (x.shape[2 + dim] - 1) % conv.stride[dim]
            padding += [total // 2, total - total // 2]
        x = F.pad(x, padding)
        return F.conv2d(x, conv.weight, conv.bias, conv.stride, 0, conv.dilation, conv.groups)
