"""The batch over all processes: shared out by our tools, watched by a hook under others."""

from types import SimpleNamespace

import pytest
from mmengine.config import Config
from torch.utils.data import BatchSampler, SequentialSampler

from mmseg_deeplab_ext.engine import GlobalBatchSizeHook
from mmseg_deeplab_ext.engine.batch_size import share_global_batch
from mmseg_deeplab_ext.errors import ConfigError


def runner(*, total, per_process, world_size, **keys):
    sampler = BatchSampler(SequentialSampler(range(64)), batch_size=per_process, drop_last=True)
    return SimpleNamespace(
        cfg=Config({"global_batch_size": total, **keys}),
        train_dataloader=SimpleNamespace(batch_sampler=sampler),
        world_size=world_size,
    )


def test_the_hook_counts_accumulated_forward_passes():
    accumulated = {"optim_wrapper": {"accumulative_counts": 4}}
    GlobalBatchSizeHook().before_train(runner(total=16, per_process=4, world_size=1, **accumulated))
    with pytest.raises(ConfigError, match="makes 64 images"):
        GlobalBatchSizeHook().before_train(
            runner(total=16, per_process=16, world_size=1, **accumulated)
        )


def test_the_hook_stops_a_training_with_another_total_and_names_the_right_size():
    with pytest.raises(ConfigError, match="makes 32 images") as caught:
        GlobalBatchSizeHook().before_train(runner(total=16, per_process=16, world_size=2))
    assert "--cfg-options train_dataloader.batch_size=8" in str(caught.value)


@pytest.mark.parametrize(("total", "per_process", "world_size"), [(16, 8, 2), (None, 3, 5)])
def test_the_hook_lets_the_right_total_and_no_total_pass(total, per_process, world_size):
    GlobalBatchSizeHook().before_train(
        runner(total=total, per_process=per_process, world_size=world_size)
    )


def config(**keys):
    return Config({"train_dataloader": {"batch_size": 16}, "global_batch_size": 16, **keys})


@pytest.mark.parametrize(("world_size", "per_process"), [(1, 16), (2, 8), (8, 2), (16, 1)])
def test_each_process_gets_its_part(world_size, per_process):
    cfg = config()
    share_global_batch(cfg, world_size, options={})
    assert cfg.train_dataloader.batch_size == per_process


def test_a_batch_size_is_set_where_the_config_has_none():
    cfg = config(train_dataloader={"num_workers": 0})
    share_global_batch(cfg, 4, options={})
    assert cfg.train_dataloader.batch_size == 4


def test_a_change_is_told_and_no_change_is_not():
    assert share_global_batch(config(), 1, options={}) == []
    (note,) = share_global_batch(config(), 4, options={})
    assert "global_batch_size=16 over 4 process(es): train_dataloader.batch_size=4" in note


def test_a_world_size_that_does_not_divide_is_refused_with_those_that_do():
    with pytest.raises(ConfigError, match="one of 1, 2, 4, 8, 16 processes") as caught:
        share_global_batch(config(), 6, options={})
    assert "train_dataloader.batch_size=N global_batch_size=None" in str(caught.value)


@pytest.mark.parametrize("total", [0, -2, 2.5, "16", True])
def test_a_total_that_is_no_positive_whole_number_is_refused(total):
    with pytest.raises(ConfigError, match="positive whole number"):
        share_global_batch(config(global_batch_size=total), 1, options={})


@pytest.mark.parametrize("keys", [{"global_batch_size": None}, {}])
def test_without_a_total_the_loader_stays_as_it_is(keys):
    cfg = Config({"train_dataloader": {"batch_size": 3}, **keys})
    assert share_global_batch(cfg, 2, options={}) == []
    assert cfg.train_dataloader.batch_size == 3


def test_a_batch_size_from_the_command_line_wins_over_the_total_of_the_file():
    cfg = config(train_dataloader={"batch_size": 4})
    (note,) = share_global_batch(cfg, 2, options={"train_dataloader.batch_size": 4})
    assert cfg.train_dataloader.batch_size == 4
    assert cfg.global_batch_size is None
    assert "from the command line" in note


def test_a_batch_size_per_process_in_the_file_is_used_where_it_makes_the_total():
    cfg = config(train_dataloader={"batch_size": 4})
    assert share_global_batch(cfg, 4, options={}) == []
    assert cfg.train_dataloader.batch_size == 4


def test_a_batch_size_per_process_in_the_file_is_refused_rather_than_overwritten():
    cfg = config(train_dataloader={"batch_size": 4})
    with pytest.raises(ConfigError, match=r"4 on 1 process\(es\) makes 4 images"):
        share_global_batch(cfg, 1, options={})


def test_a_total_from_the_command_line_is_shared_whatever_the_file_says():
    cfg = config(global_batch_size=6)
    share_global_batch(cfg, 2, options={"global_batch_size": 6})
    assert cfg.train_dataloader.batch_size == 3


def test_contradicting_batch_sizes_on_the_command_line_are_refused():
    options = {"train_dataloader.batch_size": 4, "global_batch_size": 16}
    cfg = config(train_dataloader={"batch_size": 4})
    share_global_batch(cfg, 4, options=options)
    with pytest.raises(ConfigError, match=r"4 on 2 process\(es\) makes 8 images"):
        share_global_batch(cfg, 2, options=options)


@pytest.mark.parametrize("given", [4, 16])
def test_accumulated_forward_passes_count_towards_the_total(given):
    cfg = config(train_dataloader={"batch_size": given}, optim_wrapper={"accumulative_counts": 2})
    notes = share_global_batch(cfg, 2, options={})
    assert cfg.train_dataloader.batch_size == 4
    assert "count forward passes" in notes[0]


def test_a_batch_size_from_the_command_line_that_makes_the_total_replaces_nothing():
    cfg = config(train_dataloader={"batch_size": 4}, optim_wrapper={"accumulative_counts": 4})
    options = {"train_dataloader.batch_size": 4, "optim_wrapper.accumulative_counts": 4}
    (note,) = share_global_batch(cfg, 1, options=options)
    assert "count forward passes" in note
    assert cfg.global_batch_size == 16


def test_a_total_that_accumulation_can_not_make_is_refused():
    cfg = config(optim_wrapper={"accumulative_counts": 3})
    with pytest.raises(ConfigError, match="another optim_wrapper.accumulative_counts"):
        share_global_batch(cfg, 1, options={})
    cfg = config(train_dataloader={"batch_size": 8}, optim_wrapper={"accumulative_counts": 4})
    with pytest.raises(ConfigError, match="makes 32 images per optimizer step") as caught:
        share_global_batch(cfg, 1, options={})
    assert "train_dataloader.batch_size=4" in str(caught.value)
    assert "count forward passes" in str(caught.value)
