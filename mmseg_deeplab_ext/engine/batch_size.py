"""One batch size for all processes together: the config key ``global_batch_size``.

The learning rate of a recipe belongs to the number of images per optimizer step over *all*
processes, while MMEngine's ``train_dataloader.batch_size`` counts those of one process in one
forward pass; ``optim_wrapper.accumulative_counts`` of these make an optimizer step.
"""

from __future__ import annotations

from typing import Any, Mapping

from mmengine.config import Config
from mmengine.hooks import Hook

from mmseg_deeplab_ext.config_values import is_whole
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.registry import HOOKS

KEY = "global_batch_size"
PER_PROCESS_KEY = "train_dataloader.batch_size"
ACCUMULATION_KEY = "optim_wrapper.accumulative_counts"
ACCUMULATES = (
    f"With {ACCUMULATION_KEY} above 1, train_cfg.max_iters and the schedule count forward passes, "
    "not optimizer steps."
)


def _check_total(total: int, per_process: int, *, world_size: int, accumulation: int = 1) -> None:
    """Demand the wanted images per optimizer step from ``per_process`` ones per forward pass."""
    seen = per_process * world_size * accumulation
    if seen == total:
        return
    wanted = _per_process_of(total, world_size=world_size, accumulation=accumulation)
    raise ConfigError(
        f"{PER_PROCESS_KEY}={per_process} on {_parts_of(world_size, accumulation)} makes {seen} "
        f"images per optimizer step, but the config's {KEY} is {total}, which its learning rate "
        f"belongs to. Either set `--cfg-options {PER_PROCESS_KEY}={wanted}`, or keep {per_process} "
        f"and say so with `--cfg-options {KEY}=None` (and scale the learning rate); the same keys "
        "work in a config file." + (f" {ACCUMULATES}" if accumulation > 1 else "")
    )


def _accumulation_of(cfg: Config) -> int:
    """Forward passes per optimizer step."""
    return (cfg.get("optim_wrapper") or {}).get("accumulative_counts", 1)


def _parts_of(world_size: int, accumulation: int) -> str:
    """What an optimizer step's images are divided among, in words."""
    passes = f" times {ACCUMULATION_KEY}={accumulation}" if accumulation > 1 else ""
    return f"{world_size} process(es){passes}"


def _per_process_of(total: int, *, world_size: int, accumulation: int) -> int:
    """The images per forward pass of one process that make a total per optimizer step."""
    if not is_whole(total, minimum=1):
        raise ConfigError(f"{KEY} must be a positive whole number or None, but is {total!r}.")
    if total % (world_size * accumulation) == 0:
        return total // (world_size * accumulation)
    possible = ", ".join(str(n) for n in range(1, total + 1) if total % (n * accumulation) == 0)
    raise ConfigError(
        f"{KEY}={total} can't be shared evenly by {_parts_of(world_size, accumulation)}. Use "
        + (f"one of {possible} processes" if possible else f"another {ACCUMULATION_KEY}")
        + ", or choose the images per process yourself with `--cfg-options "
        f"{PER_PROCESS_KEY}=N {KEY}=None` (and scale the learning rate to N x "
        f"{world_size * accumulation})."
    )


def share_global_batch(cfg: Config, world_size: int, *, options: Mapping[str, Any]) -> list[str]:
    """Give every process its part of ``cfg.global_batch_size``; returns sentences for the log.

    A config file states the batch size of a single process beside the total, for tools that don't
    know the total; here it is replaced. One that is neither that nor right for these processes was
    meant to be used, and is refused rather than overwritten. One in ``options``, those of the
    command line, wins over a total from the config file. Without a total nothing changes.
    """
    total = cfg.get(KEY)
    if total is None:
        return []
    loader = cfg.train_dataloader
    given = loader.get("batch_size")
    accumulation = _accumulation_of(cfg)
    parts = world_size * accumulation
    notes = [ACCUMULATES] if accumulation > 1 else []
    if PER_PROCESS_KEY in options and KEY not in options and given * parts != total:
        cfg[KEY] = None
        return [
            f"{PER_PROCESS_KEY}={given} from the command line times "
            f"{_parts_of(world_size, accumulation)} replaces {KEY}={total}; the learning rate "
            "stays as configured.",
            *notes,
        ]
    if PER_PROCESS_KEY in options or (KEY not in options and given not in (None, total)):
        _check_total(total, given, world_size=world_size, accumulation=accumulation)
        return notes
    loader.batch_size = _per_process_of(total, world_size=world_size, accumulation=accumulation)
    if loader.batch_size != given:
        notes.append(
            f"{KEY}={total} over {_parts_of(world_size, accumulation)}: "
            f"{PER_PROCESS_KEY}={loader.batch_size}."
        )
    return notes


@HOOKS.register_module()
class GlobalBatchSizeHook(Hook):
    """Stop a training whose batch over all processes is not the config's ``global_batch_size``.

    ``tools/train.py`` sets the batch size per process itself. MMSegmentation's own tools know
    nothing of the key; there this hook keeps a run on eight GPUs from silently training with
    eight times the recipe's batch. It does nothing where the key is absent or None.
    """

    def before_train(self, runner: Any) -> None:
        """Compare the data loader that the training will use with the config."""
        total = runner.cfg.get(KEY)
        if total is not None:
            # A custom batch sampler leaves DataLoader.batch_size None and has its own.
            per_process = runner.train_dataloader.batch_sampler.batch_size
            accumulation = _accumulation_of(runner.cfg)
            _check_total(
                total, per_process, world_size=runner.world_size, accumulation=accumulation
            )
