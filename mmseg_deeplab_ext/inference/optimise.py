"""A segmentor made quick for inference: the same labels, in less time."""

from __future__ import annotations

import copy
import logging
from functools import wraps
from typing import Any, Callable

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.inference.depthwise import use_quick_depthwise
from mmseg_deeplab_ext.inference.folding import folded
from mmseg_deeplab_ext.inference.logits import configured_logits

_SMALL = ((65, 65), (128, 128))
"""Images that most networks take; some take multiples of 64 only."""

_USUAL = (513, 513)

_TOLERANCE = 1e-2
"""How far a copy's logits may be off, as a share of their mean: GPUs round maps to TF32, and what
misreads a map of another layout, as a compiled operator may, is wrong altogether."""

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def optimise(segmentor: nn.Module, *, dtype: str = "fp32") -> nn.Module:
    """Copy a segmentor for inference: batch norms folded; on CPUs channels-last, quick depthwise.

    In float32 what it computes is the same to rounding. Any segmentor of MMSegmentation's will do;
    what can't be folded stays as it is, and so does a network whose copy is found to fail or to
    compute something else, which the log says.

    Args:
        segmentor: On its device, with its weights. It is left as it is, and shares none of them.
        dtype: Of ``DTYPES``. The network's weights and maps are of this type; its logits are
            float32 before anything is done with them.

    Raises:
        ConfigError: Another type than float32 is asked of a segmentor without a backbone.
    """
    result = _optimised_by_images(segmentor)
    if dtype != "fp32":
        _use_type(result, DTYPES[dtype])
    return result


def _use_type(segmentor: nn.Module, dtype: torch.dtype) -> None:
    """Let all but the preprocessing compute in a type, in place."""
    if not hasattr(segmentor, "backbone"):
        raise ConfigError(
            f"{type(segmentor).__name__} has no backbone, and so no place to turn images into "
            f"{dtype}: leave --dtype out."
        )
    for name, child in segmentor.named_children():
        if name != "data_preprocessor":
            child.to(dtype)
    segmentor.backbone.register_forward_pre_hook(
        lambda module, inputs: tuple(each.to(dtype) for each in inputs)
    )
    head = getattr(segmentor, "decode_head", None)
    last = head[-1] if isinstance(head, nn.ModuleList) else head
    if last is not None:
        last.forward = _in_float(last.forward)  # MMSegmentation calls it past any hook


def _in_float(forward: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(forward)
    def converted(*args: Any, **kwargs: Any) -> Any:
        output = forward(*args, **kwargs)
        return output.float() if isinstance(output, Tensor) else output

    return converted


@torch.no_grad()
def _optimised_by_images(segmentor: nn.Module) -> nn.Module:
    """What computes the same as before; a copy as it is, if that can't be had."""
    reason = "its quicker copy computes something else"
    for size in _sizes(segmentor):
        images, before = _noise(segmentor, size), []
        try:
            result = optimised(
                segmentor,
                lambda module: before.append(configured_logits(module, images)),  # noqa: B023
            )
            difference = (configured_logits(result, images) - before[0]).abs().mean()
            if difference <= _TOLERANCE * before[0].abs().mean():
                return result
        except Exception as error:  # anyone's network: too small an image, say
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
    print_log(f"The network runs as it is, not optimised ({reason}).", "current", logging.WARNING)
    return copy.deepcopy(segmentor).eval()


@torch.no_grad()
def optimised(module: nn.Module, run: Callable[[nn.Module], Any]) -> nn.Module:
    """The same of any module, ``run`` as in :func:`~mmseg_deeplab_ext.inference.folding.folded`."""
    result = folded(module, run)
    # The layout was not measured on GPUs, where depthwise convolutions in float32 may lose by it.
    if all(each.device.type == "cpu" for each in result.parameters()):
        use_quick_depthwise(result.to(memory_format=torch.channels_last))
    return result


def _sizes(segmentor: nn.Module) -> list[tuple[int, int]]:
    """Images to show what it does: small ones, and what it predicts with or was trained with."""
    preprocessor = getattr(segmentor, "data_preprocessor", None)
    evaluated = getattr(preprocessor, "test_cfg", None) or {}
    test_cfg = getattr(segmentor, "test_cfg", None) or {}
    trained = getattr(preprocessor, "size", None)
    crop = tuple(test_cfg.get("crop_size") or evaluated.get("size") or trained or _USUAL)
    # A window must not move: what runs twice is not folded.
    slides = test_cfg.get("mode") == "slide"
    small = [each for each in _SMALL if not slides or (each[0] <= crop[0] and each[1] <= crop[1])]
    return [*small, crop]


def _noise(segmentor: nn.Module, size: tuple[int, int]) -> Tensor:
    """Two images: what a layout breaks may show in batches only."""
    mean = getattr(getattr(segmentor, "data_preprocessor", None), "mean", None)
    channels = 3 if mean is None else mean.numel()
    noise = torch.randn(2, channels, *size, generator=torch.Generator().manual_seed(0))
    return noise.to(next(segmentor.parameters()))
