"""The weights of a checkpoint against those of a model: what does not fit is told by name.

MMEngine passes over wrong names and shapes with a line in the log.
"""

from __future__ import annotations

import re
from typing import Iterator, Mapping

from torch import Tensor

from mmseg_deeplab_ext.conversion.addresses import is_address
from mmseg_deeplab_ext.conversion.ade20k import ade20k_advice
from mmseg_deeplab_ext.conversion.comparison import differences, problem_lines, weight_shapes
from mmseg_deeplab_ext.conversion.finite import demand_finite
from mmseg_deeplab_ext.conversion.pth import demand_pth
from mmseg_deeplab_ext.errors import CheckpointMismatchError, ConfigError
from mmseg_deeplab_ext.specs.decoder import Decoder
from mmseg_deeplab_ext.specs.head_parts import Logits
from mmseg_deeplab_ext.wording import listed

_NOT_PREDICTING = "auxiliary_head."
"""Weights that only the training uses: a checkpoint may lack them, or have them besides."""
_LAST_LAYER = re.compile(rf"(^|\.)({Logits.module}|{Decoder.module}\.0\.convs\.0)\.weight$")
"""The second is a bare convolution only where the decoder's output is the logits."""
_BRANCH = re.compile(r"decode_head\.aspp\.branches\.(\d+)\.")


def check_evaluable(checkpoint: str) -> None:
    """Refuse a file or an address that can't be evaluated, before anything is built."""
    if is_address(checkpoint) and "drop_logits=true" in checkpoint:
        raise ConfigError(
            f"{checkpoint}: without the last layer there is nothing to evaluate; drop_logits is "
            "for training another number of classes."
        )
    demand_pth(checkpoint)


def demand_weights(
    found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], *, source: str
) -> None:
    """Demand all weights that a prediction needs, and no others, and that they are finite.

    ``found`` are the checkpoint's, ``wanted`` the model's; ``source`` names the former.
    """
    demand_finite(found, source=source)
    problems = _differences(found, wanted)
    if problems:
        raise CheckpointMismatchError(
            "\n".join(
                [
                    f"{source} does not fit the config's model:",
                    *problems,
                    "Take the config that the checkpoint was trained with (MMEngine leaves it in "
                    "the work directory), or another checkpoint.",
                ]
            )
        )


def notes_on_start(
    found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], *, source: str
) -> list[str]:
    """Say, in at most one sentence, what a training that starts from a checkpoint lacks.

    That the model gets nothing at all is an error. Arguments as in :func:`demand_weights`.
    """
    if weight_shapes(found).items().isdisjoint(weight_shapes(wanted).items()):
        raise CheckpointMismatchError(
            f"no weight of {source} fits the config's model. It has {listed(list(found), most=3)}; "
            f"the model has {listed(list(wanted), most=3)}. Name another checkpoint in load_from, "
            "or leave it out; weights of a backbone alone go into model.backbone.init_cfg."
        )
    problems = _differences(found, wanted)
    opening = (
        f"The training starts from {source}, which does not fit the whole model. Weights that are "
        "missing there or of another shape keep their start (init_cfg, or random values):"
    )
    return ["\n".join([opening, *problems])] if problems else []


def _differences(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> list[str]:
    problems = differences(weight_shapes(found), weight_shapes(wanted))
    predicting = {
        what: [name for name in names if not name.startswith(_NOT_PREDICTING)]
        for what, names in problems.items()
    }
    return [
        *_other_classes(found, wanted),
        *_other_rates(found, wanted),
        *problem_lines(predicting),
    ]


def _other_classes(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> Iterator[str]:
    for name, value in wanted.items():
        last = _LAST_LAYER.search(name) and not name.startswith(_NOT_PREDICTING)
        if last and name in found and found[name].shape[:1] not in ((), value.shape[:1]):
            yield f"  trained for {len(found[name])} classes, the model has {len(value)}"
            yield from (f"  {line}" for line in ade20k_advice(len(found[name]), len(value)))


def _other_rates(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> Iterator[str]:
    """Only heads of ours have branches of these names."""
    theirs, ours = _num_branches(found), _num_branches(wanted)
    if theirs and ours and theirs != ours:
        yield (
            f"  an ASPP of {theirs} branches besides image pooling; model.decode_head.dilations "
            f"asks for {ours}. A head without atrous branches (the zoo's MobileNetV2) has "
            "dilations=(1,) at every output stride"
        )


def _num_branches(weights: Mapping[str, Tensor]) -> int:
    matches = (_BRANCH.match(name) for name in weights)
    return len({match.group(1) for match in matches if match})
