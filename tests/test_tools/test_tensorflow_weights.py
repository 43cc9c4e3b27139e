"""tools/train.py and tools/test.py with TensorFlow's weights in place of a .pth."""

import re
from types import SimpleNamespace

import pytest
from mmengine.config import Config

from mmseg_deeplab_ext.conversion.to_tensorflow import export_checkpoint
from mmseg_deeplab_ext.errors import CheckpointMismatchError, CheckpointNotFoundError, ConfigError
from tests.support.tool_modules import load_tool
from tests.test_tools.conftest import TOOLS, free_port, recorded, scalars

STOCK_HEAD = """
model = dict(
    decode_head=dict(
        _delete_=True, type="FCNHead", in_channels=512, in_index=3, channels=64, num_classes=7
    )
)
"""
# Nothing is learnt: what a process holds at the end is what it started with.
STANDING_STILL = """
optim_wrapper = dict(optimizer=dict(lr=0.0, weight_decay=0.0))
train_cfg = dict(max_iters=1, val_interval=100)
default_hooks["checkpoint"]["interval"] = 1
"""


@pytest.fixture(scope="module")
def evaluate():
    main = load_tool("test").main
    return lambda *arguments: main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def train():
    main = load_tool("train").main
    return lambda *arguments: main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def weights(uninterrupted, tmp_path_factory):
    """The weights of a training, as its .pth and as a TensorFlow checkpoint."""
    pth = uninterrupted.work_dir / "iter_8.pth"
    prefix = tmp_path_factory.mktemp("tf") / "model.ckpt-8"
    export_checkpoint(Config.fromfile(uninterrupted.config), str(pth), prefix)
    return SimpleNamespace(config=uninterrupted.config, tf=f"tf://{prefix}", pth=pth)


@pytest.mark.slow
def test_test_gives_the_scores_of_a_training_brought_to_tensorflow(
    evaluate, weights, uninterrupted, tmp_path
):
    evaluate(weights.config, weights.tf, "--work-dir", tmp_path)
    for key in ("mIoU", "aAcc"):
        assert scalars(tmp_path, key) == scalars(uninterrupted.work_dir, key)[-1:]


@pytest.mark.slow
def test_a_network_that_is_not_of_this_package_is_refused_before_the_evaluation(
    evaluate, weights, write_config, tmp_path
):
    config = write_config("stock_head", STOCK_HEAD).config
    with pytest.raises(CheckpointMismatchError, match="model.decode_head is a FCNHead"):
        evaluate(config, weights.tf, "--work-dir", tmp_path)


@pytest.mark.slow
def test_a_training_that_starts_from_them_can_be_resumed(weights, write_config, train):
    run = write_config("resumed", STANDING_STILL, f"load_from = '{weights.tf}'")
    train(run.config, "--resume")  # nothing to resume yet: it starts from load_from
    started = recorded(run)[1]["parameters"]
    options = ["--cfg-options", "train_cfg.max_iters=2"]
    train(run.config, "--resume", *options)
    lines, last = recorded(run)
    assert [line["iteration"] for line in lines] == [1, 2]
    assert last["parameters"] == started


@pytest.mark.slow
def test_the_address_is_named_for_a_path_without_the_scheme(evaluate, weights, tmp_path):
    path = weights.tf[len("tf://") :]
    for name in (path, f"{path}.index"):
        with pytest.raises(CheckpointNotFoundError, match=f"write tf://{re.escape(name)}$"):
            evaluate(weights.config, name, "--work-dir", tmp_path)


@pytest.mark.slow
def test_weights_without_the_last_layer_are_not_evaluated(evaluate, weights, tmp_path):
    with pytest.raises(ConfigError, match="nothing to evaluate"):
        evaluate(weights.config, f"{weights.tf}?drop_logits=true", "--work-dir", tmp_path)


@pytest.mark.slow
def test_every_process_of_a_training_starts_with_the_same_weights(weights, write_config, call):
    digests = []
    for name, line in {
        "init_cfg": f"model['init_cfg'] = dict(type='Pretrained', checkpoint='{weights.tf}')",
        "load_from": f"load_from = '{weights.tf}'",
        "pth": f"load_from = '{weights.pth}'",
    }.items():
        run = write_config(name, STANDING_STILL, line)
        result = call(TOOLS / "dist_train.sh", run.config, 2, PORT=free_port())
        assert result.returncode == 0, result.stderr
        digests += [recorded(run, rank)[1]["parameters"] for rank in (0, 1)]
    assert len(set(digests)) == 1
