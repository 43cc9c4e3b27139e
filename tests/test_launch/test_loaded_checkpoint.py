"""A checkpoint that does not fit stops an evaluation before the first image; a training says it."""

import logging
from collections import OrderedDict
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mmseg_deeplab_ext.conversion.dataset_meta import CLASSES_BY_NUMBER, class_names_and_colours
from mmseg_deeplab_ext.errors import CheckpointFormatError, CheckpointMismatchError, ConfigError
from mmseg_deeplab_ext.launch.checks.loaded_checkpoint import CheckpointFitsHook, check_loaded

KEY = "decode_head.conv_seg.weight"
NAMES = ("sky", "road", "car")


class Segmentor(nn.Module):
    def __init__(self, classes=3):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        self.decode_head = nn.Module()
        self.decode_head.conv_seg = nn.Conv2d(4, classes, 1)
        self.auxiliary_head = nn.Conv2d(4, classes, 1)


class Wrapper(nn.Module):
    def __init__(self, module):
        super().__init__()
        self.module = module


def checkpoint(rows=3, names=NAMES, prefix=""):
    state = {f"{prefix}{name}": value for name, value in Segmentor(rows).state_dict().items()}
    return {"state_dict": state, "meta": {"dataset_meta": {"classes": names}}}


def check(loaded, model=None, classes=NAMES, training=False):
    return check_loaded(
        loaded, model=model or Segmentor(), classes=classes, source="a.pth", training=training
    )


def without(part, loaded=None):
    """A checkpoint without the weights whose names have a part in them."""
    state = (loaded or checkpoint())["state_dict"]
    return {"state_dict": {name: value for name, value in state.items() if part not in name}}


@pytest.mark.parametrize(
    "loaded",
    [
        checkpoint(),
        checkpoint(names=["Sky", "road ", "CAR"]),
        checkpoint(names=None),
        checkpoint(prefix="module."),
        {**checkpoint(), "meta": None},
        checkpoint()["state_dict"],
        without("auxiliary_head"),
        without("num_batches_tracked"),
    ],
)
def test_a_checkpoint_with_the_same_classes_passes(loaded):
    assert check(loaded) == []


@pytest.mark.parametrize("wrap", [lambda model: model, Wrapper, lambda m: Wrapper(Wrapper(m))])
def test_another_number_of_classes_is_an_error_with_both_numbers(wrap):
    with pytest.raises(CheckpointMismatchError, match="trained for 5 classes, the model has 3"):
        check(checkpoint(rows=5), model=wrap(Segmentor()))


@pytest.mark.parametrize(
    ("loaded", "message"),
    [
        (without("backbone"), r"6 missing in the file: backbone\.0\.weight"),
        (without("conv_seg"), rf"2 missing in the file: {KEY}"),
        ({**without("x")["state_dict"], "neck.w": torch.zeros(1)}, "1 left over .*: neck.w"),
    ],
)
def test_weights_that_are_missing_or_left_over_stop_an_evaluation(loaded, message):
    with pytest.raises(CheckpointMismatchError, match=message) as caught:
        check(loaded)
    assert str(caught.value).startswith("a.pth does not fit the config's model:")


def test_weights_that_are_not_finite_stop_an_evaluation():
    loaded = checkpoint()
    loaded["state_dict"][KEY] = torch.full_like(loaded["state_dict"][KEY], float("nan"))
    with pytest.raises(CheckpointFormatError, match=f"not finite .* in 1 weights: {KEY}"):
        check(loaded)


def branches(count):
    weights = {f"decode_head.aspp.branches.{n}.conv.weight": torch.zeros(1) for n in range(count)}
    return {"state_dict": {**checkpoint()["state_dict"], **weights}}


def test_another_number_of_atrous_branches_names_the_key():
    model = Segmentor()
    model.decode_head.aspp = nn.Module()
    model.decode_head.aspp.branches = nn.ModuleList(
        nn.Sequential(OrderedDict(conv=nn.Conv2d(1, 1, 1, bias=False))) for _ in range(4)
    )
    message = r"ASPP of 1 branches.*dilations asks for 4.*dilations=\(1,\) at every output stride"
    with pytest.raises(CheckpointMismatchError, match=message):
        check(branches(1), model=model)


def test_classes_are_counted_in_a_decoder_that_makes_the_logits_too():
    name = "decode_head.decoder.0.convs.0.weight"
    loaded = checkpoint()
    loaded["state_dict"][name] = torch.zeros(5, 4, 1, 1)
    model = Segmentor()
    model.decode_head.decoder = nn.ModuleList([nn.Module()])
    model.decode_head.decoder[0].convs = nn.ModuleList([nn.Conv2d(4, 7, 1, bias=False)])
    with pytest.raises(CheckpointMismatchError, match="trained for 5 classes, the model has 7"):
        check(loaded, model=model)


def test_the_channels_of_ade20k_come_with_the_command_that_converts_them():
    with pytest.raises(CheckpointMismatchError, match="151 classes, the model has 150.*\n.*ade150"):
        check(checkpoint(rows=151), model=Segmentor(150))


@pytest.mark.parametrize("training", [False, True])
def test_a_file_that_holds_no_weights_is_an_error(training):
    with pytest.raises(CheckpointFormatError, match=r"a\.pth holds a list, expected a dictionary"):
        check([1, 2], training=training)


def test_a_training_from_weights_for_other_classes_is_told_what_keeps_its_start():
    assert check(checkpoint(), training=True) == []
    (note,) = check(checkpoint(rows=5), training=True)
    assert note.startswith("The training starts from a.pth, which does not fit the whole model")
    assert "trained for 5 classes, the model has 3" in note
    assert f"2 of another shape: {KEY} [5, 4, 1, 1] in the file, [3, 4, 1, 1] in the model" in note


@pytest.mark.parametrize("loaded", [{}, {"conv1.weight": torch.zeros(1)}, without("a")])
def test_a_training_from_a_file_of_which_nothing_fits_is_an_error(loaded):
    with pytest.raises(CheckpointMismatchError, match=r"no weight of a\.pth fits"):
        check(loaded, training=True)


def test_a_training_may_start_from_the_same_names_in_another_order():
    (note,) = check(checkpoint(names=("road", "sky", "car")), training=True)
    assert "0: 'road' / 'sky', 1: 'sky' / 'road'" in note


def test_the_same_names_in_another_order_are_an_error():
    message = r"0: 'road' / 'sky', 1: 'sky' / 'road'.*classes=\['road', 'sky', 'car'\]"
    with pytest.raises(ConfigError, match=message):
        check(checkpoint(names=("road", "sky", "car")))


def test_other_names_are_said():
    (note,) = check(checkpoint(names=("class 0", "class 1", "class 2")))
    assert "0: 'class 0' / 'sky', 1: 'class 1' / 'road'" in note


CITYSCAPES = class_names_and_colours(19)["classes"]
NINETEEN = [*CITYSCAPES[1:], CITYSCAPES[0]]


def tensorflow(count):
    return {
        "state_dict": {},
        "meta": {"dataset_meta": class_names_and_colours(count), CLASSES_BY_NUMBER: True},
    }


def check_tensorflow(loaded, classes, *, source):
    return check_loaded(loaded, model=nn.Identity(), classes=classes, source=source, training=False)


def test_names_that_are_a_guess_from_their_number_are_said_only():
    (note,) = check_tensorflow(tensorflow(19), NINETEEN, source="tf://mine")
    assert note.startswith("tf://mine has as many classes as a data set whose names are not")
    assert "0: 'road' / 'sidewalk'" in note
    assert check_tensorflow(tensorflow(19), CITYSCAPES, source="tf://mine") == []
    assert check_tensorflow(tensorflow(3), NAMES, source="tf://mine") == []


def test_the_names_of_the_zoo_are_certain():
    loaded = {"state_dict": {}, "meta": {"dataset_meta": class_names_and_colours(19)}}
    with pytest.raises(ConfigError, match="tf-zoo://x numbers its classes otherwise"):
        check_tensorflow(loaded, NINETEEN, source="tf-zoo://x")


@pytest.mark.parametrize("classes", [None, (*NAMES, "bus")])
def test_names_are_compared_only_where_there_are_as_many(classes):
    assert check(checkpoint(), classes=classes) == []


def test_the_hook_does_it_when_the_runner_has_loaded_the_file(caplog):
    runner = SimpleNamespace(model=Wrapper(Segmentor()), logger=logging.getLogger("runner"))
    hook = CheckpointFitsHook(NAMES, "a.pth")
    with caplog.at_level(logging.INFO, logger="runner"):
        hook.after_load_checkpoint(runner, checkpoint(names=("a", "b", "c")))
    assert "name their classes differently" in caplog.text
    with pytest.raises(CheckpointMismatchError, match="trained for 2 classes"):
        hook.after_load_checkpoint(runner, checkpoint(rows=2))
