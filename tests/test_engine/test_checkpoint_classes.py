"""A checkpoint with other classes stops an evaluation before the first image."""

import logging
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mmseg_deeplab_ext.engine.checkpoint_classes import (
    CheckpointClassesHook,
    check_checkpoint_classes,
)
from mmseg_deeplab_ext.errors import ConfigError

KEY = "decode_head.conv_seg.weight"
NAMES = ("sky", "road", "car")


class Segmentor(nn.Module):
    def __init__(self, classes=3):
        super().__init__()
        self.decode_head = nn.Module()
        self.decode_head.conv_seg = nn.Conv2d(4, classes, 1)


class Wrapper(nn.Module):
    def __init__(self, module):
        super().__init__()
        self.module = module


def checkpoint(rows=3, names=NAMES, prefix=""):
    state = {f"{prefix}{KEY}": torch.zeros(rows, 4, 1, 1)}
    return {"state_dict": state, "meta": {"dataset_meta": {"classes": names}}}


def check(loaded, model=None, classes=NAMES):
    return check_checkpoint_classes(
        loaded, model=model or Segmentor(), classes=classes, source="a.pth"
    )


@pytest.mark.parametrize(
    "loaded",
    [
        checkpoint(),
        checkpoint(names=["Sky", "road ", "CAR"]),
        checkpoint(names=None),
        checkpoint(prefix="module."),
        {**checkpoint(), "meta": None},
        checkpoint()["state_dict"],
    ],
)
def test_a_checkpoint_with_the_same_classes_passes(loaded):
    assert check(loaded) == []


@pytest.mark.parametrize("wrap", [lambda model: model, Wrapper, lambda m: Wrapper(Wrapper(m))])
def test_another_number_of_classes_is_an_error_with_both_numbers(wrap):
    with pytest.raises(ConfigError, match=r"a\.pth was trained for 5 classes .* the model has 3"):
        check(checkpoint(rows=5), model=wrap(Segmentor()))


def test_a_checkpoint_without_a_last_layer_is_an_error():
    with pytest.raises(ConfigError, match=rf"a\.pth has no {KEY}"):
        check({"state_dict": {"conv1.weight": torch.zeros(1)}})


def test_a_model_without_our_kind_of_last_layer_is_left_alone():
    assert check(checkpoint(rows=5), model=nn.Conv2d(1, 1, 1)) == []


def test_the_same_names_in_another_order_are_an_error():
    message = r"0: 'road' / 'sky', 1: 'sky' / 'road'.*classes=\['road', 'sky', 'car'\]"
    with pytest.raises(ConfigError, match=message):
        check(checkpoint(names=("road", "sky", "car")))


def test_other_names_are_said():
    (note,) = check(checkpoint(names=("class 0", "class 1", "class 2")))
    assert "0: 'class 0' / 'sky', 1: 'class 1' / 'road'" in note


@pytest.mark.parametrize("classes", [None, (*NAMES, "bus")])
def test_names_are_compared_only_where_there_are_as_many(classes):
    assert check(checkpoint(), classes=classes) == []


def test_the_hook_does_it_when_the_runner_has_loaded_the_file(caplog):
    runner = SimpleNamespace(model=Wrapper(Segmentor()), logger=logging.getLogger("runner"))
    hook = CheckpointClassesHook(NAMES, "a.pth")
    with caplog.at_level(logging.INFO, logger="runner"):
        hook.after_load_checkpoint(runner, checkpoint(names=("a", "b", "c")))
    assert "name their classes differently" in caplog.text
    with pytest.raises(ConfigError, match="trained for 2 classes"):
        hook.after_load_checkpoint(runner, checkpoint(rows=2))
