"""Several processes, with and without GPUs, before a Runner exists."""

from __future__ import annotations

import os
import subprocess
from datetime import timedelta
from typing import Any, Mapping, NamedTuple

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import is_distributed
from torch import distributed as torch_dist
from torch.distributed import Store
from torch.distributed.rendezvous import rendezvous

from mmseg_deeplab_ext.errors import ConfigError

# torch.distributed's own default, also MMEngine's.
DEFAULT_PORT = "29500"


class LauncherVariables(NamedTuple):
    """The environment variables by which a launcher tells a process its place, and how to start."""

    rank: str
    world_size: str
    local_rank: str
    start_with: str


LAUNCHERS: Mapping[str, LauncherVariables] = {
    "pytorch": LauncherVariables(
        "RANK",
        "WORLD_SIZE",
        "LOCAL_RANK",
        "tools/dist_train.sh, tools/dist_test.sh or tools/dist_predict.sh (torchrun)",
    ),
    "slurm": LauncherVariables(
        "SLURM_PROCID",
        "SLURM_NTASKS",
        "SLURM_LOCALID",
        "tools/slurm_train.sh, tools/slurm_test.sh or tools/slurm_predict.sh (srun)",
    ),
    "mpi": LauncherVariables(
        "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "mpirun"
    ),
}


def launched_world_size(launcher: str) -> int:
    """Number of processes that the launcher started; a ConfigError if its variables do not say."""
    return 1 if launcher == "none" else _variable(launcher, "world_size")


def check_gpu_of_this_process(launcher: str) -> None:
    """Stop where the launcher started more processes on this machine than it has GPUs."""
    if launcher == "none" or get_device() != "cuda":
        return
    local_rank, count = _variable(launcher, "local_rank"), torch.cuda.device_count()
    if local_rank >= count:
        raise ConfigError(
            f"Process {local_rank} of this machine has no GPU: it sees {count}. Start at most "
            f"{count} processes on it, or set CUDA_VISIBLE_DEVICES= (empty) to use the CPU."
            + (
                " If Slurm binds one GPU to each task (--gpus-per-task, --gpu-bind), every task "
                "must see all of its machine's instead: SRUN_ARGS=--gpu-bind=none."
                if launcher == "slurm"
                else ""
            )
        )


def connect_without_gpu(cfg: Config) -> list[str]:
    """Start the process group through gloo; nothing where there is a GPU, or one process only.

    ``mmengine.dist.init_dist``, which does it otherwise, calls ``torch.cuda.set_device``. Returns
    sentences for the log.
    """
    launcher = cfg.launcher
    if launcher == "none" or get_device() != "cpu" or is_distributed():
        return []
    dist_cfg = cfg.get("env_cfg", {}).get("dist_cfg", {})
    _use_torchruns_names(launcher, port=dist_cfg.get("port"))
    timeout: float | None = dist_cfg.get("timeout")
    kwargs: dict[str, Any] = {} if timeout is None else {"timeout": timedelta(seconds=timeout)}
    torch_dist.init_process_group(backend="gloo", **kwargs)
    return [f"No GPU: {torch_dist.get_world_size()} processes connected through gloo."]


def connect_store(launcher: str) -> tuple[Store, int, int]:
    """Meet the other processes at a store of keys and values, without a process group.

    Returns:
        The store, the rank of this process, and the number of processes.

    Raises:
        ConfigError: The launcher's variables do not say where.
    """
    _use_torchruns_names(launcher, port=None)
    return next(rendezvous("env://"))


def device_of_this_process(launcher: str, asked: str | None) -> str | None:
    """The device for a process that a launcher started: of GPUs, one of its own.

    Args:
        launcher: With ``none`` it is what was asked for.
        asked: As PyTorch names it; by default a GPU if there is one.

    Raises:
        ConfigError: One GPU was asked for by its number, or there are fewer GPUs than processes.
    """
    if launcher == "none":
        return asked
    if asked and ":" in asked:
        raise ConfigError(
            f"--device {asked} with --launcher {launcher}: every process takes the GPU of its own "
            "number. Leave the number out; CUDA_VISIBLE_DEVICES chooses among the GPUs."
        )
    device = asked or get_device()
    if device != "cuda":
        return device
    check_gpu_of_this_process(launcher)
    return f"cuda:{_variable(launcher, 'local_rank')}"


def _use_torchruns_names(launcher: str, *, port: int | None) -> None:
    """Set the variables that torch.distributed's env:// rendezvous and MMEngine's logger read."""
    rank, size, local_rank = (
        _variable(launcher, field) for field in ("rank", "world_size", "local_rank")
    )
    os.environ["LOCAL_RANK"] = str(local_rank)
    os.environ["MASTER_ADDR"] = os.environ.get("MASTER_ADDR") or _first_host(launcher)
    os.environ["MASTER_PORT"] = str(port or os.environ.get("MASTER_PORT") or DEFAULT_PORT)
    os.environ["RANK"], os.environ["WORLD_SIZE"] = str(rank), str(size)


def _first_host(launcher: str) -> str:
    if launcher == "slurm" and "SLURM_NODELIST" in os.environ:
        command = ["scontrol", "show", "hostnames", os.environ["SLURM_NODELIST"]]
        try:
            answer = subprocess.run(command, check=True, stdout=subprocess.PIPE)
            return answer.stdout.decode().split()[0]
        except (OSError, subprocess.CalledProcessError, IndexError) as error:
            raise ConfigError(
                f"`{' '.join(command)}` did not name the first node ({error}). Set MASTER_ADDR "
                "to its host name."
            ) from error
    raise ConfigError(
        f"--launcher {launcher} needs the environment variable MASTER_ADDR, the host name of the "
        "node with rank 0."
    )


def _variable(launcher: str, field: str) -> int:
    if launcher not in LAUNCHERS:
        known = ", ".join(["none", *LAUNCHERS])
        raise ConfigError(f"Unknown launcher {launcher!r}; known are {known}.")
    name = getattr(LAUNCHERS[launcher], field)
    value = os.environ.get(name, "")
    if not value.isdigit():
        raise ConfigError(
            f"--launcher {launcher} needs the environment variable {name}, which is "
            f"{value or 'not set'}. Start with {LAUNCHERS[launcher].start_with}, or leave out "
            "--launcher to use one process."
        )
    return int(value)
