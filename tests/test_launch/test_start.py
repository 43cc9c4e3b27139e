"""Where a training starts, and the seed of an interrupted one, so that its images go on."""

import pytest
import torch
from mmengine.config import Config

from mmseg_deeplab_ext.errors import CheckpointNotFoundError
from mmseg_deeplab_ext.launch.adapt.start import choose_start, restore_seed


@pytest.fixture
def work_dir(tmp_path):
    torch.save({"meta": {"seed": 1234}, "state_dict": {}}, tmp_path / "iter_2.pth")
    (tmp_path / "last_checkpoint").write_text(str(tmp_path / "iter_2.pth"))
    return tmp_path


def test_the_seed_of_the_latest_checkpoint_is_taken_over(work_dir):
    cfg = Config({"work_dir": str(work_dir), "resume": True, "randomness": {"deterministic": True}})
    (note,) = restore_seed(cfg)
    assert dict(cfg.randomness) == {"deterministic": True, "seed": 1234}
    assert "iter_2.pth" in note


def test_a_named_checkpoint_goes_before_the_latest(work_dir):
    torch.save({"meta": {"seed": 77}, "state_dict": {}}, work_dir / "other.pth")
    other = str(work_dir / "other.pth")
    cfg = Config({"work_dir": str(work_dir), "resume": True, "load_from": other})
    restore_seed(cfg)
    assert cfg.randomness.seed == 77


@pytest.mark.parametrize("keys", [{"resume": False}, {"resume": True, "randomness": {"seed": 5}}])
def test_nothing_changes_without_resume_or_with_a_configured_seed(work_dir, keys):
    cfg = Config({"work_dir": str(work_dir), **keys})
    before = cfg.pretty_text
    assert restore_seed(cfg) == []
    assert cfg.pretty_text == before


def test_a_work_dir_without_checkpoint_is_said_to_start_anew(tmp_path):
    (note,) = restore_seed(Config({"work_dir": str(tmp_path), "resume": True}))
    assert "starts anew" in note


def test_a_latest_checkpoint_that_is_gone_is_named_with_two_ways_out(work_dir):
    (work_dir / "iter_2.pth").unlink()
    with pytest.raises(CheckpointNotFoundError, match=r"iter_2\.pth does not exist") as caught:
        restore_seed(Config({"work_dir": str(work_dir), "resume": True}))
    assert "load_from=PATH" in str(caught.value)
    assert "last_checkpoint" in str(caught.value)


def test_a_finished_training_is_said_to_be_finished(work_dir):
    torch.save({"meta": {"seed": 1, "iter": 60}, "state_dict": {}}, work_dir / "iter_2.pth")
    keys = {"work_dir": str(work_dir), "resume": True, "randomness": {"seed": 5}}
    (note,) = restore_seed(Config({**keys, "train_cfg": {"max_iters": 60}}))
    assert "at iteration 60 of 60: nothing is left to train" in note
    assert restore_seed(Config({**keys, "train_cfg": {"max_iters": 61}})) == []


def test_a_config_that_starts_from_weights_resumes_from_its_own_checkpoint(work_dir):
    cfg = Config({"work_dir": str(work_dir), "resume": True, "load_from": "stage1.pth"})
    assert choose_start(cfg, options={}, resume=True) == []
    assert (cfg.resume, cfg.load_from) == (True, None)


def test_without_a_checkpoint_of_its_own_it_starts_from_the_weights(work_dir):
    first = str(work_dir / "iter_2.pth")
    cfg = Config({"work_dir": str(work_dir / "stage2"), "resume": True, "load_from": first})
    (note,) = choose_start(cfg, options={}, resume=True)
    assert first in note
    assert (cfg.resume, cfg.load_from) == (False, first)


def test_a_checkpoint_named_as_an_option_is_resumed_from(work_dir):
    keys = {"work_dir": str(work_dir), "resume": True, "load_from": "other.pth"}
    cfg = Config(keys)
    assert choose_start(cfg, options={"load_from": "other.pth"}, resume=True) == []
    assert cfg.to_dict() == keys


def test_resume_in_the_config_file_stays_what_mmengine_makes_of_it(work_dir):
    other = str(work_dir / "iter_2.pth")
    for folder in (work_dir, work_dir / "new"):
        keys = {"work_dir": str(folder), "resume": True, "load_from": other}
        cfg = Config(keys)
        assert choose_start(cfg, options={}, resume=False) == []
        assert cfg.to_dict() == keys


def test_tensorflow_weights_are_never_resumed_from(tmp_path):
    address = "tf://model.ckpt"
    cfg = Config({"work_dir": str(tmp_path), "resume": True, "load_from": address})
    (note,) = choose_start(cfg, options={}, resume=False)
    assert address in note
    assert (cfg.resume, cfg.load_from) == (False, address)


@pytest.mark.parametrize("resume", [False, True])
def test_weights_to_start_from_that_do_not_exist_are_named(tmp_path, resume):
    cfg = Config({"work_dir": str(tmp_path), "resume": resume, "load_from": "stage1.pth"})
    with pytest.raises(CheckpointNotFoundError, match=r"load_from.* stage1\.pth does not exist"):
        choose_start(cfg, options={}, resume=resume)


@pytest.mark.parametrize("load_from", [None, "tf-zoo://mobilenetv2_coco_voc_trainaug"])
def test_a_training_from_random_weights_or_an_address_starts_as_it_is(tmp_path, load_from):
    keys = {"work_dir": str(tmp_path), "resume": False, "load_from": load_from}
    cfg = Config(keys)
    assert choose_start(cfg, options={}, resume=False) == []
    assert cfg.to_dict() == keys
