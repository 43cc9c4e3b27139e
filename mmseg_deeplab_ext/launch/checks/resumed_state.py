"""What a training resumes, against what it would go on with."""

from __future__ import annotations

from typing import Any, Iterator, Mapping

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmseg_deeplab_ext.conversion.pth import state_dict_of
from mmseg_deeplab_ext.conversion.weights import demand_weights
from mmseg_deeplab_ext.errors import CheckpointMismatchError
from mmseg_deeplab_ext.launch.checks.loaded_checkpoint import segmentor_in
from mmseg_deeplab_ext.wording import listed

_OWN_START = (
    "A training that starts from its weights names it as load_from, without --resume and with a "
    "work directory of its own"
)


class ResumedStateHook(Hook):
    """Demand that a checkpoint goes on with the config's model and optimizer."""

    priority = "VERY_HIGH"  # before EMAHook, which swaps the weights

    def after_load_checkpoint(self, runner: Runner, checkpoint: Mapping[str, Any]) -> None:
        """Compare.

        Raises:
            CheckpointMismatchError: It is no checkpoint of a training, or of another one.
        """
        lacking = [key for key in ("meta", "message_hub") if key not in checkpoint]
        lacking += [f"meta.{k}" for k in ("iter", "epoch") if k not in checkpoint.get("meta", {})]
        if lacking:
            raise CheckpointMismatchError(
                f"resume: the checkpoint has weights, but no state of a training (it lacks "
                f"{listed(lacking)}). {_OWN_START}."
            )
        source = "resume: the checkpoint"
        found = state_dict_of(checkpoint, source=source)
        demand_weights(found, segmentor_in(runner.model).state_dict(), source=source)
        problems = list(_differences(checkpoint.get("optimizer"), runner.optim_wrapper))
        if problems:
            raise CheckpointMismatchError(
                f"resume: the checkpoint was trained otherwise: {'; '.join(problems)}. Take the "
                f"config that it was trained with. {_OWN_START}."
            )


def _differences(saved: Any, wrapper: Any) -> Iterator[str]:
    """How the groups of parameters of a saved optimizer differ; nothing for several optimizers."""
    optimizer = getattr(wrapper, "optimizer", None)
    if optimizer is None or not isinstance(saved, Mapping) or "param_groups" not in saved:
        return
    theirs, ours = saved["param_groups"], optimizer.param_groups
    only_theirs, only_ours = _keys(theirs) - _keys(ours), _keys(ours) - _keys(theirs)
    # Another version of PyTorch adds keys, or lacks some: another optimizer does both.
    if only_theirs and only_ours:
        yield (
            f"its optimizer has {listed(sorted(only_theirs))}, {type(optimizer).__name__} of the "
            f"config {listed(sorted(only_ours))} instead"
        )
    sizes = [[len(group["params"]) for group in groups] for groups in (theirs, ours)]
    if sizes[0] != sizes[1]:
        yield (
            f"its optimizer has {len(theirs)} groups of {sum(sizes[0])} parameters, the config's "
            f"{len(ours)} of {sum(sizes[1])} (optim_wrapper.paramwise_cfg, constructor)"
        )


def _keys(groups: Any) -> set[str]:
    return {key for group in groups for key in group}
