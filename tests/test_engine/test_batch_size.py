"""The batch over all processes, watched by a hook under other tools than ours."""

from types import SimpleNamespace

import pytest
from mmengine.config import Config
from torch.utils.data import BatchSampler, SequentialSampler

from mmseg_deeplab_ext.engine import GlobalBatchSizeHook
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
