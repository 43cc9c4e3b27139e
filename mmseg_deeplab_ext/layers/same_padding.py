"""TensorFlow's 'SAME' padding where PyTorch's symmetric padding differs from it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from torch import Tensor

from mmseg_deeplab_ext.layers.output_stride import UnitGeometry


def max_pool_3x3_stride_2_same(x: Tensor) -> Tensor:
    """3x3 max pooling with stride 2 and TensorFlow's 'SAME' padding.

    'SAME' pads an odd size by one on both sides, but an even size by one at the bottom or right
    only; ``nn.MaxPool2d(3, 2, 1)`` pads both sides always, which shifts every window of an even
    image. Ceil mode lets the last window run over the border of an even size, which is the same as
    padding it there.

    Args:
        x: [N, C, H, W].

    Returns:
        [N, C, ceil(H / 2), ceil(W / 2)].
    """
    height, width = x.shape[-2:]
    if torch.jit.is_tracing():
        # The padding of ONNX's pools is a constant. That of F.pad is computed from each image.
        x = F.pad(x, (width % 2, 1, height % 2, 1), value=float("-inf"))
        return F.max_pool2d(x, 3, stride=2)
    return F.max_pool2d(x, 3, stride=2, padding=(height % 2, width % 2), ceil_mode=True)


def conv_same_module(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    *,
    geometry: UnitGeometry,
    groups: int = 1,
    norm_cfg: dict,
    act_cfg: dict | None,
) -> ConvModule:
    """A convolution with TensorFlow's native 'SAME' padding, batch norm and activation.

    With stride 1 that is the same padding on all sides. With stride 2 an even size is padded less
    at the top and left than at the bottom and right, which a symmetric padding does not do: every
    window of an even image would sit further up and left. MMCV's ``Conv2dAdaptivePadding`` follows
    TensorFlow's rule.

    Args:
        in_channels: input channels.
        out_channels: output channels.
        kernel_size: odd.
        geometry: stride and dilation.
        groups: as in ``nn.Conv2d``; the input's channels for a depthwise convolution.
        norm_cfg: MMCV norm config.
        act_cfg: MMCV activation config; None for no activation.
    """
    strided = geometry.stride > 1
    return ConvModule(
        in_channels,
        out_channels,
        kernel_size,
        stride=geometry.stride,
        padding=0 if strided else geometry.dilation * (kernel_size // 2),
        dilation=geometry.dilation,
        groups=groups,
        conv_cfg={"type": "Conv2dAdaptivePadding"} if strided else None,
        norm_cfg=norm_cfg,
        act_cfg=act_cfg,
    )
