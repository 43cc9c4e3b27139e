"""A segmentor made quick for inference: the same labels, in less time."""

from __future__ import annotations

from functools import wraps
from typing import Any, Callable

import torch
from torch import Tensor, nn

from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.inference.depthwise import use_quick_depthwise
from mmseg_deeplab_ext.inference.folding import folded
from mmseg_deeplab_ext.inference.logits import configured_logits

_SMALL = ((65, 65), (128, 128))
"""Images that most networks take; some take multiples of 64 only."""

_USUAL = (513, 513)


DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def optimise(segmentor: nn.Module, *, dtype: str = "fp32") -> nn.Module:
    """Copy a segmentor for inference: batch norms folded, channels-last, quick depthwise forms.

    In float32 what it computes is the same to rounding. Any segmentor of MMSegmentation's will do;
    what can't be folded stays as it is.

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


def _optimised_by_images(segmentor: nn.Module) -> nn.Module:
    for size in _sizes(segmentor):
        image = _grey_image(segmentor, size)
        try:
            return optimised(segmentor, lambda module: configured_logits(module, image))  # noqa: B023
        except Exception:  # anyone's network: too small an image, say
            continue
    return optimised(segmentor, lambda module: None)


@torch.no_grad()
def optimised(module: nn.Module, run: Callable[[nn.Module], Any]) -> nn.Module:
    """The same of any module, ``run`` as in :func:`~mmseg_deeplab_ext.inference.folding.folded`."""
    result = folded(module, run).to(memory_format=torch.channels_last)
    use_quick_depthwise(result)
    return result


def _sizes(segmentor: nn.Module) -> list[tuple[int, int]]:
    """Images to show what it does: small ones, and what it predicts with or was trained with."""
    preprocessor = getattr(segmentor, "data_preprocessor", None)
    evaluated = getattr(preprocessor, "test_cfg", None) or {}
    test_cfg = getattr(segmentor, "test_cfg", None) or {}
    trained = getattr(preprocessor, "size", None)
    crop = tuple(test_cfg.get("crop_size") or evaluated.get("size") or trained or _USUAL)
    # A window must not move: what runs twice is not folded.
    return [crop] if test_cfg.get("mode") == "slide" else [*_SMALL, crop]


def _grey_image(segmentor: nn.Module, size: tuple[int, int]) -> Tensor:
    parameter = next(segmentor.parameters())
    mean = getattr(getattr(segmentor, "data_preprocessor", None), "mean", None)
    channels = 3 if mean is None else mean.numel()
    return torch.zeros(1, channels, *size, device=parameter.device, dtype=parameter.dtype)
