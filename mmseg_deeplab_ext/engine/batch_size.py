"""One batch size for all processes together: the config key ``global_batch_size``.

The learning rate of a recipe belongs to the number of images per optimizer step over *all*
processes, while MMEngine's ``train_dataloader.batch_size`` counts those of one process in one
forward pass; ``optim_wrapper.accumulative_counts`` of these make an optimizer step.
"""

from __future__ import annotations

from typing import Any

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
    wanted = per_process_of(total, world_size=world_size, accumulation=accumulation)
    raise ConfigError(
        f"{PER_PROCESS_KEY}={per_process} on {parts_of(world_size, accumulation)} makes {seen} "
        f"images per optimizer step, but the config's {KEY} is {total}, which its learning rate "
        f"belongs to. Either set `--cfg-options {PER_PROCESS_KEY}={wanted}`, or keep {per_process} "
        f"and say so with `--cfg-options {KEY}=None` (and scale the learning rate); the same keys "
        "work in a config file." + (f" {ACCUMULATES}" if accumulation > 1 else "")
    )


def accumulation_of(cfg: Config) -> int:
    """Forward passes per optimizer step."""
    return (cfg.get("optim_wrapper") or {}).get("accumulative_counts", 1)


def parts_of(world_size: int, accumulation: int) -> str:
    """What an optimizer step's images are divided among, in words."""
    passes = f" times {ACCUMULATION_KEY}={accumulation}" if accumulation > 1 else ""
    return f"{world_size} process(es){passes}"


def per_process_of(total: int, *, world_size: int, accumulation: int) -> int:
    """The images per forward pass of one process that make a total per optimizer step.

    Raises:
        ConfigError: There is no such number, or ``total`` is no positive whole number.
    """
    if not is_whole(total, minimum=1):
        raise ConfigError(f"{KEY} must be a positive whole number or None, but is {total!r}.")
    if total % (world_size * accumulation) == 0:
        return total // (world_size * accumulation)
    possible = ", ".join(str(n) for n in range(1, total + 1) if total % (n * accumulation) == 0)
    raise ConfigError(
        f"{KEY}={total} can't be shared evenly by {parts_of(world_size, accumulation)}. Use "
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
                accumulation=accumulation_of(runner.cfg),
            )
