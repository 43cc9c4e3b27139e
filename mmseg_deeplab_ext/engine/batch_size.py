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
_ACCUMULATES = (
    f"With {ACCUMULATION_KEY} above 1, train_cfg.max_iters and the schedule count forward passes, "
    "not optimizer steps."
)


def share_global_batch(cfg: Config, world_size: int, *, options: Mapping[str, Any]) -> list[str]:
    """Give every process its part of ``cfg.global_batch_size``, in place.

    A config file states the batch size of a single process beside the total, for tools that don't
    know the total; here it is replaced. One that is neither that nor right for these processes was
    meant to be used, and is refused rather than overwritten.

    Args:
        cfg: Training config. Without the key ``global_batch_size``, or with None, its data loader
            stays as it is.
        world_size: Number of processes that train together.
        options: What the user set on the command line. A batch size per process given there wins
            over a global one from the config file.

    Returns:
        Sentences for the log, one per change made.

    Raises:
        ConfigError: ``global_batch_size`` is no positive whole number, the processes can't share
            it evenly, or it contradicts a batch size per process that was meant to be used.
    """
    total = cfg.get(KEY)
    if total is None:
        return []
    loader = cfg.train_dataloader
    given = loader.get("batch_size")
    accumulation = _accumulation(cfg)
    parts = world_size * accumulation
    notes = [_ACCUMULATES] if accumulation > 1 else []
    if PER_PROCESS_KEY in options and KEY not in options and given * parts != total:
        cfg[KEY] = None
        return [
            f"{PER_PROCESS_KEY}={given} from the command line times "
            f"{_parts(world_size, accumulation)} replaces {KEY}={total}; the learning rate stays "
            "as configured.",
            *notes,
        ]
    if PER_PROCESS_KEY in options or (KEY not in options and given not in (None, total)):
        check_total(total, given, world_size=world_size, accumulation=accumulation)
        return notes
    loader.batch_size = _divide(total, world_size=world_size, accumulation=accumulation)
    if loader.batch_size != given:
        notes.append(
            f"{KEY}={total} over {_parts(world_size, accumulation)}: "
            f"{PER_PROCESS_KEY}={loader.batch_size}."
        )
    return notes


def check_total(total: int, per_process: int, *, world_size: int, accumulation: int = 1) -> None:
    """Compare the images per optimizer step that a run would see with the wanted number.

    Args:
        total: Wanted images per optimizer step over all processes.
        per_process: Images per forward pass of one process.
        world_size: Number of processes.
        accumulation: Forward passes per optimizer step.

    Raises:
        ConfigError: They differ; the message says what to set.
    """
    seen = per_process * world_size * accumulation
    if seen == total:
        return
    wanted = _divide(total, world_size=world_size, accumulation=accumulation)
    raise ConfigError(
        f"{PER_PROCESS_KEY}={per_process} on {_parts(world_size, accumulation)} makes {seen} "
        f"images per optimizer step, but the config's {KEY} is {total}, which its learning rate "
        f"belongs to. Either set `--cfg-options {PER_PROCESS_KEY}={wanted}`, or keep {per_process} "
        f"and say so with `--cfg-options {KEY}=None` (and scale the learning rate); the same keys "
        "work in a config file." + (f" {_ACCUMULATES}" if accumulation > 1 else "")
    )


def _accumulation(cfg: Config) -> int:
    return (cfg.get("optim_wrapper") or {}).get("accumulative_counts", 1)


def _parts(world_size: int, accumulation: int) -> str:
    passes = f" times {ACCUMULATION_KEY}={accumulation}" if accumulation > 1 else ""
    return f"{world_size} process(es){passes}"


def _divide(total: int, *, world_size: int, accumulation: int) -> int:
    if not is_whole(total, minimum=1):
        raise ConfigError(f"{KEY} must be a positive whole number or None, but is {total!r}.")
    if total % (world_size * accumulation) == 0:
        return total // (world_size * accumulation)
    possible = ", ".join(str(n) for n in range(1, total + 1) if total % (n * accumulation) == 0)
    raise ConfigError(
        f"{KEY}={total} can't be shared evenly by {_parts(world_size, accumulation)}. Use "
        + (f"one of {possible} processes" if possible else f"another {ACCUMULATION_KEY}")
        + ", or choose the images per process yourself with `--cfg-options "
        f"{PER_PROCESS_KEY}=N {KEY}=None` (and scale the learning rate to N x "
        f"{world_size * accumulation})."
    )


@HOOKS.register_module()
class GlobalBatchSizeHook(Hook):
    """Stop a training whose batch over all processes is not the config's ``global_batch_size``.

    ``tools/train.py`` sets the batch size per process itself. MMSegmentation's own tools know
    nothing of the key; there this hook keeps a run on eight GPUs from silently training with
    eight times the recipe's batch. It does nothing where the key is absent or None.
    """

    def before_train(self, runner: Any) -> None:
        """Compare the data loader that the training will use with the config.

        Raises:
            ConfigError: The batch sizes contradict.
        """
        total = runner.cfg.get(KEY)
        if total is not None:
            # A custom batch sampler leaves DataLoader.batch_size None and has its own.
            per_process = runner.train_dataloader.batch_sampler.batch_size
            check_total(
                total,
                per_process,
                world_size=runner.world_size,
                accumulation=_accumulation(runner.cfg),
            )
