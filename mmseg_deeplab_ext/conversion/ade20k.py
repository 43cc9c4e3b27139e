"""ADE20K's 151 channels of TensorFlow's DeepLab as the 150 of MMSegmentation.

TensorFlow keeps the labels as the files have them: 0 is "none of the classes" and ignored, 1 to 150
are the classes (deeplab/datasets/data_generator.py). So channel 0 is never the right answer while
it trains; its logits only learn to be low. MMSegmentation shifts the labels (``reduce_zero_label``)
and has no such channel. Without channel 0 the logits of the classes are what they were: wherever
channel 0 did not win, the prediction is the same, shifted by one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Mapping

from torch import Tensor

from mmseg_deeplab_ext.errors import CheckpointMismatchError
from mmseg_deeplab_ext.specs.deeplab_head import HeadSpec
from mmseg_deeplab_ext.specs.head_parts import Logits
from mmseg_deeplab_ext.specs.network import NetworkSpec
from mmseg_deeplab_ext.tool_paths import tool_path

_CHANNELS = 151
_LOGITS = tuple(f"{HeadSpec.prefix}{Logits.module}.{kind}" for kind in ("weight", "bias"))


def ade20k_advice(found: int | None, wanted: int | None) -> list[str]:
    """What to do where a checkpoint has the channels and a model MMSegmentation's classes.

    Args:
        found: number of classes in the checkpoint.
        wanted: number of classes of the model.

    Returns:
        At most one sentence.
    """
    if (found, wanted) != (_CHANNELS, _CHANNELS - 1):
        return []
    return [
        f"The {_CHANNELS} channels are ADE20K's with one for no class, which MMSegmentation's "
        f"{wanted} classes do without: `python {tool_path('model_converters/tf2mmseg.py')} "
        "CHECKPOINT OUT.pth --ade150` writes a checkpoint that fits."
    ]


def network_without_background(network: NetworkSpec) -> NetworkSpec:
    """The network with 150 classes instead of 151 channels.

    Raises:
        CheckpointMismatchError: it has another number of channels, or no logits; or they are its
            decoder's output.
    """
    logits = network.head and not network.head.decoder_is_logits and network.head.logits
    if not logits or logits.num_classes != _CHANNELS:
        raise CheckpointMismatchError(
            f"only a network with the {_CHANNELS} channels of ADE20K can do without channel 0; "
            f"this is {network}"
        )
    logits = replace(logits, num_classes=_CHANNELS - 1)
    return replace(network, head=network.head and replace(network.head, logits=logits))


def without_background(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Drop channel 0 of the logits.

    Args:
        state_dict: of a segmentor with 151 channels.

    Returns:
        The tensors of one with 150; all but the last layer's are the same objects.

    Raises:
        CheckpointMismatchError: the last layer is missing, or has another number of channels.
    """
    found = {name: list(state_dict[name].shape) for name in _LOGITS if name in state_dict}
    if len(found) != len(_LOGITS) or any(shape[0] != _CHANNELS for shape in found.values()):
        raise CheckpointMismatchError(
            f"channel 0 can be dropped of {', '.join(_LOGITS)} with {_CHANNELS} channels each; "
            f"here are {found or 'no logits'}"
        )
    return {**state_dict, **{name: state_dict[name][1:].clone() for name in _LOGITS}}
