"""Batch norms folded into the convolutions before them."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any, Callable, Iterable, Iterator, Mapping

import torch
from mmcv.cnn.bricks.conv2d_adaptive_padding import Conv2dAdaptivePadding
from mmcv.cnn.bricks.wrappers import Conv2d as EmptyConv2d
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_CONVS = (nn.Conv2d, EmptyConv2d, Conv2dAdaptivePadding)
"""Kinds whose weights are what they convolve with; others change them first (``ConvAWS``)."""

_NORMS = (nn.BatchNorm2d, nn.SyncBatchNorm)


def folded(module: nn.Module, run: Callable[[nn.Module], Any]) -> nn.Module:
    """Copy a module in evaluation mode, with its batch norms folded into their convolutions.

    ``run`` uses the module once, on any image. It shows which batch norm takes a convolution's
    output, and whether anything else does: the order in which a class makes its layers is not
    always that of their use (``ConvModule`` with ``order=("norm", "act", "conv")``), and what is
    used twice, or not by ``run``, stays as it is; so does what has hooks, or is in a module whose
    ``children_in_any_order`` says that its batch norms may do more. Kernels are multiplied in
    float64 and rounded once.
    """
    result = copy.deepcopy(module).eval()
    with torch.no_grad():
        norms = {norm: _fold(conv, norm) for conv, norm in _pairs(result, run)}
    for parent in list(result.modules()):
        for name, child in parent.named_children():
            if child in norms:
                setattr(parent, name, nn.Identity())
    return result


def _fold(conv: nn.Conv2d, norm: nn.Module) -> None:
    """Let a convolution do what the batch norm behind it does."""
    mean, variance = norm.running_mean.double(), norm.running_var.double()
    factor, shift = torch.rsqrt(variance + norm.eps), torch.zeros_like(mean)
    if norm.affine:
        factor, shift = factor * norm.weight.double(), norm.bias.double()
    if conv.bias is not None:
        mean = mean - conv.bias.double()
    kernel = conv.weight.double() * factor.reshape(-1, 1, 1, 1)
    dtype = conv.weight.dtype
    conv.weight = nn.Parameter(kernel.to(dtype), requires_grad=False)
    conv.bias = nn.Parameter((shift - mean * factor).to(dtype), requires_grad=False)


def _pairs(
    module: nn.Module, run: Callable[[nn.Module], Any]
) -> Iterator[tuple[nn.Conv2d, nn.Module]]:
    """Convolutions, each with the batch norm that alone takes its output."""
    flow = _Flow()
    handles = []
    strangers = [m for m in module.modules() if getattr(m, "children_in_any_order", False)]
    inner = {each for stranger in strangers for each in stranger.modules()}
    for each in set(module.modules()) - inner:
        if each._forward_hooks or each._forward_pre_hooks:
            continue  # someone looks at what it takes or gives, or changes it (spectral_norm)
        if type(each) in _CONVS:
            handles.append(each.register_forward_hook(flow.made))
        elif type(each) in _NORMS and each.running_mean is not None and not each.training:
            handles.append(each.register_forward_pre_hook(flow.taken))
    with flow:
        run(module)
    for handle in handles:
        handle.remove()
    for norm, conv in flow.source.items():
        if flow.runs[conv] == flow.runs[norm] == flow.uses[conv] == 1:
            yield conv, norm


class _Flow(TorchFunctionMode):
    """Follows the outputs of convolutions through whatever PyTorch computes with them."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: Counter = Counter()
        self.uses: Counter = Counter()
        self.source: dict[nn.Module, nn.Conv2d] = {}

    def made(self, conv: nn.Conv2d, inputs: Any, output: Tensor) -> None:
        """Mark the output; a mark costs no memory, as keeping the tensor would."""
        output.made_by = conv
        self.runs[conv] += 1

    def taken(self, norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Note whose output a batch norm takes."""
        self.runs[norm] += 1
        if hasattr(inputs[0], "made_by"):
            self.source[norm] = inputs[0].made_by

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        makers = [each.made_by for each in _tensors([*args, *(kwargs or {}).values()])]
        result = func(*args, **(kwargs or {}))
        if any(isinstance(each, Tensor) for each in _values([result])):  # not its size, say
            self.uses.update(makers)
        return result


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    """Those that a convolution made."""
    return (each for each in _values(values) if hasattr(each, "made_by"))


def _values(values: Iterable[Any]) -> Iterator[Any]:
    for each in values:
        if isinstance(each, (list, tuple)):
            yield from each
        else:
            yield each
