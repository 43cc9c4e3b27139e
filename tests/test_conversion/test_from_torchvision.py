"""What a file of torchvision is, from names and shapes alone; what is refused, and what is said."""

import pytest
import torch
from mmengine.registry import init_default_scope

from mmseg_deeplab_ext.conversion.from_torchvision import plan_torchvision, segmentor_weights
from mmseg_deeplab_ext.conversion.torchvision_networks import NETWORKS
from mmseg_deeplab_ext.errors import (
    CheckpointFormatError,
    CheckpointMismatchError,
    CheckpointUnsupportedError,
)
from mmseg_deeplab_ext.registry import MODELS
from tests.support.torchvision_goldens import empty_state_dict, names_and_shapes, state_dict

NAMES = [network.name for network in NETWORKS]
LRASPP = "lraspp_mobilenet_v3_large"


def plan_of(tensors):
    return plan_torchvision(tensors, source="net.pth")


def test_the_references_are_of_all_networks():
    assert set(names_and_shapes()) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_published_file_is_recognised_and_all_of_its_weights_are_used(name):
    tensors = empty_state_dict(name)
    plan = plan_of(tensors)
    assert plan.network.name == name
    assert plan.num_classes == 21
    counters = [n for n in tensors if n.endswith("num_batches_tracked")]
    assert sorted(plan.names.values()) == sorted(set(tensors) - set(counters))
    assert list(plan.ignored) == counters


@pytest.mark.parametrize("name", NAMES)
def test_the_weights_fill_the_whole_segmentor_of_the_config(name):
    plan = plan_of(empty_state_dict(name))
    init_default_scope("mmseg")
    with torch.device("meta"):
        model = MODELS.build(plan.cfg.model)
    wanted = [n for n in model.state_dict() if not n.endswith("num_batches_tracked")]
    assert sorted(plan.names) == sorted(wanted)


def test_the_report_says_what_it_is_what_is_used_and_what_is_ignored():
    assert plan_of(empty_state_dict("fcn_resnet50")).report().splitlines() == [
        "torchvision's fcn_resnet50, 21 classes, with auxiliary head",
        "279 tensors used",
        "55 ignored: batches counted, which change nothing",
        "0 missing",
    ]


def test_the_table_has_every_tensor():
    tensors = empty_state_dict(LRASPP)
    lines = plan_of(tensors).name_table()
    assert {line.split()[0] for line in lines} == set(tensors)
    assert any(
        line.split() == ["classifier.low_classifier.bias", "->", "decode_head.fine_seg.bias"]
        for line in lines
    )


def test_a_file_without_auxiliary_head_gives_a_config_without():
    tensors = empty_state_dict("deeplabv3_mobilenet_v3_large")
    plan = plan_of({n: t for n, t in tensors.items() if not n.startswith("aux_")})
    assert "without auxiliary head" in plan.report()
    assert plan.cfg.model.auxiliary_head is None


def test_the_number_of_classes_is_the_files():
    tensors = empty_state_dict("fcn_resnet101")
    for name, tensor in tensors.items():
        if "classifier.4." in name:
            tensors[name] = tensor.new_empty(7, *tensor.shape[1:])
    plan = plan_of(tensors)
    heads = (plan.cfg.model.decode_head, plan.cfg.model.auxiliary_head)
    assert [head.num_classes for head in heads] == [plan.num_classes] * 2 == [7, 7]


def test_all_that_does_not_fit_is_told_at_once():
    tensors = empty_state_dict(LRASPP)
    del tensors["classifier.scale.1.weight"]
    tensors["surprise"] = torch.empty(3, device="meta")
    tensors["backbone.0.0.weight"] = torch.empty(16, 3, 5, 5, device="meta")
    tensors["backbone.0.1.bias"] = torch.empty(16, device="meta", dtype=torch.int8)
    with pytest.raises(CheckpointMismatchError) as error:
        plan_of(tensors)
    assert str(error.value).splitlines() == [
        f"net.pth looks like torchvision's {LRASPP}, 21 classes, without auxiliary head, but not "
        "completely:",
        "  1 of another shape: backbone.0.0.weight [16, 3, 5, 5] in the file, [16, 3, 3, 3] in the "
        "model",
        "  1 missing in the file: classifier.scale.1.weight",
        "  1 left over in the file: surprise",
        "  1 no floating-point numbers: backbone.0.1.bias torch.int8",
    ]


@pytest.mark.parametrize("name", ["layer1.0.conv1.weight", "features.0.0.weight"])
def test_a_classifier_of_torchvision_is_no_segmentation_network(name):
    with pytest.raises(CheckpointUnsupportedError, match=rf"fcn_resnet50, .*it has {name}"):
        plan_of({name: torch.empty(1)})


@pytest.fixture
def lraspp():
    tensors = state_dict(LRASPP)
    return tensors, plan_of(tensors)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_weights_become_float32(lraspp, dtype):
    tensors, plan = lraspp
    weights = segmentor_weights({n: t.to(dtype) for n, t in tensors.items()}, plan)
    assert {weight.dtype for weight in weights.values()} == {torch.float32}
    name = "decode_head.conv_seg.weight"
    assert torch.equal(weights[name], tensors[plan.names[name]].to(dtype).float())


@pytest.mark.parametrize("number", [float("nan"), 1e300])
def test_a_number_that_float32_has_not_is_refused(lraspp, number):
    tensors, plan = lraspp
    name = "classifier.cbr.1.running_var"
    tensors[name] = tensors[name].double()
    tensors[name][3] = number
    with pytest.raises(CheckpointFormatError, match=r"net.pth holds .* not finite .*conv.bn"):
        segmentor_weights(tensors, plan)
