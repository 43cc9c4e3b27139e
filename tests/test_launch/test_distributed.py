"""Several processes: what the launchers say, and what changes without a GPU."""

import os

import pytest
import torch
from mmengine.config import Config

from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.launch import distributed
from mmseg_deeplab_ext.launch.adapt import cpu
from mmseg_deeplab_ext.launch.adapt.cpu import adapt_to_cpu
from mmseg_deeplab_ext.launch.distributed import (
    LAUNCHERS,
    check_gpu_of_this_process,
    connect_without_gpu,
    device_of_this_process,
    launched_world_size,
)


@pytest.fixture(autouse=True)
def _own_environment():
    """Undo what a test or the code writes into the environment."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def set_device(monkeypatch, kind):
    for module in (distributed, cpu):
        monkeypatch.setattr(module, "get_device", lambda: kind)


@pytest.fixture
def process_groups(monkeypatch):
    """Record the process groups that would be started."""
    started = []
    set_device(monkeypatch, "cpu")
    monkeypatch.setattr(distributed.torch_dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(
        distributed.torch_dist,
        "init_process_group",
        lambda **kwargs: started.append(kwargs),
    )
    return started


def start(cfg):
    """What a run's start does for its processes; returns the sentences for the log."""
    return [*adapt_to_cpu(cfg), *connect_without_gpu(cfg)]


def set_place(launcher, *, rank=1, world_size=2, local_rank=1):
    names = LAUNCHERS[launcher]
    os.environ[names.rank] = str(rank)
    os.environ[names.world_size] = str(world_size)
    os.environ[names.local_rank] = str(local_rank)


@pytest.mark.parametrize("launcher", list(LAUNCHERS))
def test_each_launcher_tells_the_number_of_processes(launcher):
    set_place(launcher, world_size=6)
    assert launched_world_size(launcher) == 6


def test_no_launcher_means_one_process():
    assert launched_world_size("none") == 1


@pytest.mark.parametrize("launcher", list(LAUNCHERS))
def test_a_launcher_that_did_not_start_the_process_is_named_with_the_way_to_start(launcher):
    os.environ.pop(LAUNCHERS[launcher].world_size, None)
    with pytest.raises(ConfigError, match=LAUNCHERS[launcher].world_size) as caught:
        launched_world_size(launcher)
    assert LAUNCHERS[launcher].start_with in str(caught.value)


def test_an_unknown_launcher_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match="'ray'; known are none, pytorch, slurm, mpi"):
        launched_world_size("ray")


def test_with_a_gpu_nothing_changes(monkeypatch):
    set_device(monkeypatch, "cuda")
    cfg = Config({"launcher": "pytorch", "sync_bn": "torch"})
    assert start(cfg) == []
    assert cfg.sync_bn == "torch"
    assert "model_wrapper_cfg" not in cfg


def test_one_process_without_gpu_needs_no_process_group(process_groups):
    cfg = Config({"launcher": "none", "sync_bn": "torch"})
    assert start(cfg) == []
    assert process_groups == []


def test_several_processes_without_gpu_get_gloo_plain_batch_norm_and_no_device_ids(process_groups):
    set_place("pytorch")
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT="29511")
    cfg = Config({"launcher": "pytorch", "sync_bn": "torch", "find_unused_parameters": True})
    notes = start(cfg)
    assert cfg.sync_bn is None
    assert dict(cfg.model_wrapper_cfg) == {
        "type": "MMDistributedDataParallel",
        "broadcast_buffers": False,
        "find_unused_parameters": True,
        "device_ids": None,
    }
    assert process_groups == [{"backend": "gloo"}]
    assert any("sync_bn='torch' is dropped" in note for note in notes)
    assert not any("type SyncBN" in note for note in notes)
    assert os.environ["MASTER_PORT"] == "29511"


def test_several_processes_without_gpu_get_plain_batch_norm_at_any_depth(process_groups):
    set_place("pytorch")
    os.environ.update(MASTER_ADDR="127.0.0.1")
    kinds = ["SyncBN", "mmcv.MMSyncBN", torch.nn.SyncBatchNorm, "GN", "BN"]
    heads = [{"type": "FCNHead", "norm_cfg": {"type": kind, "eps": 1e-3}} for kind in kinds]
    cfg = Config({"launcher": "pytorch", "model": {"auxiliary_head": heads}})
    notes = start(cfg)
    used = [head["norm_cfg"] for head in cfg.model.auxiliary_head]
    assert [norm["type"] for norm in used] == ["BN", "BN", "BN", "GN", "BN"]
    assert all(norm["eps"] == 1e-3 for norm in used)
    assert any("SyncBN become BN" in note for note in notes)


def test_the_configured_model_wrapper_and_time_limit_are_kept(process_groups):
    set_place("pytorch")
    os.environ.update(MASTER_ADDR="127.0.0.1")
    wrapper = {"type": "MMDistributedDataParallel", "static_graph": True}
    cfg = Config(
        {
            "launcher": "pytorch",
            "model_wrapper_cfg": wrapper,
            "env_cfg": {"dist_cfg": {"backend": "nccl", "timeout": 60}},
        }
    )
    start(cfg)
    assert dict(cfg.model_wrapper_cfg) == {**wrapper, "device_ids": None}
    assert process_groups[0]["timeout"].total_seconds() == 60


def test_slurm_finds_its_first_node_and_port(process_groups, tmp_path):
    scontrol = tmp_path / "scontrol"
    scontrol.write_text("#!/bin/sh\n[ \"$*\" = 'show hostnames node[7-8]' ] && echo node7 node8\n")
    scontrol.chmod(0o755)
    set_place("slurm", rank=3, world_size=4, local_rank=1)
    for name in ("MASTER_ADDR", "MASTER_PORT", "RANK"):
        os.environ.pop(name, None)
    os.environ.update(PATH=f"{tmp_path}:{os.environ['PATH']}", SLURM_NODELIST="node[7-8]")
    start(Config({"launcher": "slurm", "env_cfg": {"dist_cfg": {"port": 29512}}}))
    names = ("MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE", "LOCAL_RANK")
    assert [os.environ[name] for name in names] == ["node7", "29512", "3", "4", "1"]
    assert process_groups == [{"backend": "gloo"}]


@pytest.mark.parametrize("nodes", ["node[7-8]", None])
def test_an_unknown_first_node_is_asked_for(process_groups, tmp_path, nodes):
    set_place("slurm")
    os.environ.pop("MASTER_ADDR", None)
    os.environ["PATH"] = str(tmp_path)  # no scontrol
    os.environ.pop("SLURM_NODELIST", None)
    if nodes:
        os.environ["SLURM_NODELIST"] = nodes
    with pytest.raises(ConfigError, match="MASTER_ADDR"):
        start(Config({"launcher": "slurm"}))
    assert process_groups == []


def test_more_processes_than_gpus_are_refused_with_the_number_of_gpus(monkeypatch):
    set_device(monkeypatch, "cuda")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    set_place("pytorch", local_rank=1)
    check_gpu_of_this_process("pytorch")
    set_place("pytorch", local_rank=2)
    with pytest.raises(ConfigError, match="Start at most 2 processes"):
        check_gpu_of_this_process("pytorch")


def test_a_gpu_of_its_own_for_each_slurm_task_is_named_as_the_cause(monkeypatch):
    set_device(monkeypatch, "cuda")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    set_place("slurm", local_rank=3)
    with pytest.raises(ConfigError, match="SRUN_ARGS=--gpu-bind=none"):
        check_gpu_of_this_process("slurm")


def test_each_process_takes_the_gpu_of_its_own_number(monkeypatch):
    set_device(monkeypatch, "cuda")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    set_place("pytorch", local_rank=1)
    asked = [None, "cuda", "cpu"]
    taken = [device_of_this_process("pytorch", each) for each in asked]
    assert taken == ["cuda:1", "cuda:1", "cpu"]
    assert [device_of_this_process("none", each) for each in asked] == asked
    with pytest.raises(ConfigError, match="cuda:0 with --launcher pytorch: .* Leave the number"):
        device_of_this_process("pytorch", "cuda:0")
    set_place("pytorch", local_rank=2)
    with pytest.raises(ConfigError, match="Start at most 2 processes"):
        device_of_this_process("pytorch", None)
