"""A network made ready for tracing: paddings that follow the image's size."""

from __future__ import annotations

from mmcv.cnn.bricks.conv2d_adaptive_padding import Conv2dAdaptivePadding
from torch import Tensor, nn
from torch.nn import functional as F


def make_traceable(module: nn.Module) -> nn.Module:
    """Let the graph compute what MMCV and timm compute in Python, in place; returns the module."""
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if _pads_by_itself(child):
                setattr(parent, name, _TracedSameConv2d(child))
    return module


def _pads_by_itself(module: nn.Module) -> bool:
    kind = type(module)
    timms = kind.__module__.startswith("timm.") and kind.__name__ == "Conv2dSame"
    return timms or isinstance(module, Conv2dAdaptivePadding)


class _TracedSameConv2d(nn.Module):
    """A convolution with TensorFlow's padding, computed by the graph.

    MMCV's ``Conv2dAdaptivePadding`` and timm's ``Conv2dSame`` compute it in Python: the size of the
    image they were traced with would stay in the graph.

    Args:
        conv: the convolution, whose kernel reaches at least as far as its stride.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
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
