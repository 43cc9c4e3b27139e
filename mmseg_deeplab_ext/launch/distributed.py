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
from torch.nn import SyncBatchNorm

from mmseg_deeplab_ext.engine.amp import use_cpu_amp
from mmseg_deeplab_ext.errors import ConfigError

# torch.distributed's own default, also MMEngine's.
DEFAULT_PORT = "29500"
_SYNC_BN_TYPES = ("SyncBN", "MMSyncBN")


class LauncherVariables(NamedTuple):
    """The environment variables by which a launcher tells a process its place, and how to start."""

    rank: str
    world_size: str
    local_rank: str
    start_with: str


LAUNCHERS: Mapping[str, LauncherVariables] = {
    "pytorch": LauncherVariables(
        "RANK", "WORLD_SIZE", "LOCAL_RANK", "tools/dist_train.sh or tools/dist_test.sh (torchrun)"
    ),
    "slurm": LauncherVariables(
        "SLURM_PROCID",
        "SLURM_NTASKS",
        "SLURM_LOCALID",
        "tools/slurm_train.sh or tools/slurm_test.sh (srun)",
    ),
    "mpi": LauncherVariables(
        "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "mpirun"
    ),
}


def launched_world_size(launcher: str) -> int:
    """Number of processes that the launcher started.

    Args:
        launcher: ``none``, ``pytorch``, ``slurm`` or ``mpi``.

    Raises:
        ConfigError: The launcher is unknown, or its environment variables are not set.
    """
    return 1 if launcher == "none" else _variable(launcher, "world_size")


def adapt_to_cpu(cfg: Config) -> list[str]:
    """Change what MMEngine's Runner can't do without a GPU, in place; nothing where there is one.

    AMP becomes bfloat16 autocast. For several processes synchronised batch norm is dropped
    (PyTorch has none for CPUs; for a single process the Runner drops it), the model wrapper gets
    no device ids and the process group is started with gloo, since ``mmengine.dist.init_dist``
    calls ``torch.cuda.set_device``.

    Args:
        cfg: Config with ``launcher`` set.

    Returns:
        Sentences for the log, one per change made.
    """
    if get_device() != "cpu":
        return []
    notes = use_cpu_amp(cfg)
    if cfg.launcher == "none":
        return notes
    own = "each process normalises with the statistics of its own images."
    if cfg.get("sync_bn") is not None:
        notes.append(f"No GPU: sync_bn={cfg.sync_bn!r} is dropped, {own}")
        cfg.sync_bn = None
    if _use_plain_bn(cfg.get("model")):
        notes.append(f"No GPU: norm layers of type SyncBN become BN, {own}")
    wrapper = cfg.get("model_wrapper_cfg") or {
        "type": "MMDistributedDataParallel",
        "broadcast_buffers": False,
        "find_unused_parameters": cfg.get("find_unused_parameters", False),
    }
    wrapper["device_ids"] = None
    cfg.model_wrapper_cfg = wrapper
    if not is_distributed():
        _init_gloo(cfg.launcher, cfg.get("env_cfg", {}).get("dist_cfg", {}))
        notes.append(f"No GPU: {torch_dist.get_world_size()} processes connected through gloo.")
    return notes


def check_gpu_of_this_process(launcher: str) -> None:
    """Stop where the launcher started more processes on this machine than it has GPUs.

    Args:
        launcher: ``none``, ``pytorch``, ``slurm`` or ``mpi``.

    Raises:
        ConfigError: There are GPUs, but none left for this process.
    """
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


def _use_plain_bn(part: Any) -> bool:
    """Replace synchronised batch norm at any depth of a model's config; tell whether there was."""
    if isinstance(part, (list, tuple)):
        return any([_use_plain_bn(each) for each in part])  # a list: any() must not stop early
    if not isinstance(part, dict):
        return False
    kind = part.get("type")
    found = kind is SyncBatchNorm or (
        isinstance(kind, str) and kind.rsplit(".", 1)[-1] in _SYNC_BN_TYPES
    )
    if found:
        part["type"] = "BN"
    return any([_use_plain_bn(each) for each in part.values()]) or found


def _init_gloo(launcher: str, dist_cfg: Mapping[str, Any]) -> None:
    """Start the process group as ``mmengine.dist.init_dist`` would, without CUDA."""
    names = LAUNCHERS[launcher]
    # torch.distributed's env:// rendezvous and MMEngine's logger read torchrun's names.
    os.environ["LOCAL_RANK"] = str(_variable(launcher, "local_rank"))
    os.environ["MASTER_ADDR"] = os.environ.get("MASTER_ADDR") or _first_host(launcher)
    port = dist_cfg.get("port") or os.environ.get("MASTER_PORT") or DEFAULT_PORT
    os.environ["MASTER_PORT"] = str(port)
    os.environ["RANK"] = os.environ[names.rank]
    os.environ["WORLD_SIZE"] = os.environ[names.world_size]
    timeout: float | None = dist_cfg.get("timeout")
    kwargs: dict[str, Any] = {} if timeout is None else {"timeout": timedelta(seconds=timeout)}
    torch_dist.init_process_group(backend="gloo", **kwargs)


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
