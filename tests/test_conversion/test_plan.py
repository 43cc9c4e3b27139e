"""Every variable of a checkpoint is used, ignored for a stated reason, or an error."""

import re

import pytest

from mmseg_deeplab_ext.conversion.plan import make_plan
from mmseg_deeplab_ext.errors import CheckpointMismatchError, CheckpointUnsupportedError
from tests.support.tf_files import MNV2_VOC, R18_BETA_IMAGENET, variables

EMA = "ExponentialMovingAverage"
STATISTICS = ("moving_mean", "moving_variance")


@pytest.fixture
def shapes():
    return {name: value.shape for name, value in variables(MNV2_VOC).items()}


def averages(shapes):
    return {f"{name}/{EMA}": shape for name, shape in shapes.items()}


def sources(plan):
    return {rule.tf_name: name for rule, name in plan.sources}


def test_the_variables_of_a_network_are_all_used(shapes):
    plan = make_plan(shapes)
    assert sources(plan) == {name: name for name in shapes}
    assert plan.ignored == {}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("{}/Momentum", "optimizer slot"),
        ("{}/RMSProp_1", "optimizer slot"),
        ("{}/Adam", "optimizer slot"),
        ("global_step", "training step"),
        ("MobilenetV2/mean_rgb", "mean pixel"),
        ("MobilenetV2/Logits/Conv2d_1c_1x1/biases", "ImageNet classifier"),
        ("MobilenetV2/Conv_1/weights/RMSProp", "ImageNet classifier"),
        ("{}/" + EMA, "moving average of a weight, the raw weight is used"),
    ],
)
def test_what_training_adds_is_ignored_with_its_reason(shapes, name, reason):
    name = name.format("MobilenetV2/Conv/weights")
    plan = make_plan({**shapes, name: (3,)})
    assert reason in plan.ignored[name]
    assert len(plan.ignored) == 1


QUANTISED = [
    "MobilenetV2/Conv/weights_quant/min",
    "MobilenetV2/Conv/act_quant/MobilenetV2/Conv/act_quant/min/biased",
    "MobilenetV2/Conv/act_quant/MobilenetV2/Conv/act_quant/min/local_step",
    "MobilenetV2/expanded_conv_2/post_activation_bypass_quant/max",
    "MobilenetV2/expanded_conv/act_quant_1/max",
    "concat_projection_dropout/dropout/Mul/activation_Mul_quant/max",
    "logits/semantic/conv_quant/max",
    "MobilenetEdgeTPU/expanded_conv_1/expand/weights_quant/min",
    "MobilenetV3/Conv/hard_swish/mul/activation_Mul_quant/min",
    "MobilenetV3/expanded_conv_3/squeeze_excite/act_quant/max",
    "mul_1/activation_Mul_quant/max",
]


def test_the_ranges_of_8_bit_training_are_counted_and_left_out(shapes):
    ranges = dict.fromkeys([*QUANTISED, "fake_quantization_step"], ())
    plan = make_plan({**shapes, **ranges})
    assert plan.network == MNV2_VOC
    assert set(plan.ignored) == set(ranges)
    assert "11 ignored: range of 8-bit (quantisation-aware) training" in plan.report()


def test_a_graph_whose_batch_norms_were_folded_is_refused_with_the_reason(shapes):
    folded = {name: shape for name, shape in shapes.items() if "BatchNorm" not in name}
    folded["MobilenetV2/Conv/Conv2D_bn_offset"] = (16,)
    with pytest.raises(CheckpointUnsupportedError, match=r"folded into .* MobilenetV2/Conv/Conv2D"):
        make_plan(folded)


@pytest.mark.parametrize(
    "name", ["Conv_quant/weights", "Conv_quant/minimum", "Conv/min", "quant/max"]
)
def test_what_only_sounds_like_a_range_is_an_error(shapes, name):
    with pytest.raises(CheckpointMismatchError, match=f"not part of this network: {name}$"):
        make_plan({**shapes, name: ()})


@pytest.mark.parametrize("name", ["surprise", "surprise/Momentum", "logits/semantic_1/weights"])
def test_a_variable_that_belongs_to_nothing_is_an_error(shapes, name):
    with pytest.raises(CheckpointMismatchError, match=f"not part of this network: {name}$"):
        make_plan({**shapes, name: (3,)})


def test_unless_it_is_left_out_on_request(shapes):
    plan = make_plan({**shapes, "surprise": (3,)}, ignore=["surprise"])
    assert plan.ignored == {"surprise": "left out on request"}


def test_a_request_for_what_is_not_there_is_an_error(shapes):
    with pytest.raises(CheckpointMismatchError, match="to be ignored, but not in the file: typo"):
        make_plan(shapes, ignore=["typo"])


def test_a_request_to_leave_out_what_is_needed_is_an_error(shapes):
    with pytest.raises(CheckpointMismatchError, match="to be ignored, but needed: aspp0/weights"):
        make_plan(shapes, ignore=["aspp0/weights"])


def test_all_problems_are_told_together(shapes):
    del shapes["aspp0/BatchNorm/beta"], shapes["MobilenetV2/Conv/BatchNorm/gamma"]
    with pytest.raises(CheckpointMismatchError) as caught:
        make_plan({**shapes, "surprise": ()})
    message = str(caught.value)
    assert re.search(
        "2 missing in the file: MobilenetV2/Conv/.*gamma, aspp0/BatchNorm/beta", message
    )
    assert "1 in the file, but not part of this network: surprise" in message
    assert message.startswith("the file looks like DeepLabv3 on MobileNetV2")


def test_dropped_logits_are_ignored_by_name_and_their_slots_with_them(shapes):
    extra = {"logits/semantic/weights/Momentum": shapes["logits/semantic/weights"]}
    plan = make_plan({**shapes, **extra}, drop_logits=True)
    assert set(plan.ignored) == {
        "logits/semantic/weights",
        "logits/semantic/biases",
        "logits/semantic/weights/Momentum",
    }
    assert set(plan.ignored.values()) == {"logits, dropped on request"}
    assert plan.network.head.num_classes is None


def test_an_imagenet_classifier_gives_its_backbone():
    shapes = {name: value.shape for name, value in variables(R18_BETA_IMAGENET).items()}
    plan = make_plan(shapes)
    assert len(plan.sources) == 115
    assert sorted(plan.ignored) == ["resnet_v1_18/logits/biases", "resnet_v1_18/logits/weights"]


def test_raw_weights_are_taken_where_both_are_complete(shapes):
    plan = make_plan({**shapes, **averages(shapes)})
    assert sources(plan) == {name: name for name in shapes}


def test_averages_are_taken_where_only_they_are_complete(shapes):
    both = {**shapes, **averages(shapes)}
    del both["aspp0/weights"]
    plan = make_plan(both)
    assert sources(plan) == {name: f"{name}/{EMA}" for name in shapes}
    assert set(plan.ignored.values()) == {"raw weight, whose moving average is used"}


def test_averages_are_taken_on_request_and_statistics_may_lack_one(shapes):
    partial = {k: v for k, v in averages(shapes).items() if k.split("/")[-2] not in STATISTICS}
    plan = make_plan({**shapes, **partial}, ema="always")
    taken = sources(plan)
    assert taken["aspp0/weights"] == f"aspp0/weights/{EMA}"
    assert taken["aspp0/BatchNorm/moving_mean"] == "aspp0/BatchNorm/moving_mean"
    assert f"{len(partial)} of them averages" in plan.report()


def test_averages_on_request_that_are_not_there_are_missing(shapes):
    with pytest.raises(CheckpointMismatchError, match=f"missing in the file: .*{EMA}"):
        make_plan(shapes, ema="always")


def test_averages_are_not_taken_if_that_is_forbidden(shapes):
    with pytest.raises(CheckpointMismatchError, match="missing in the file: MobilenetV2"):
        make_plan(averages(shapes), ema="never")


def test_an_unknown_choice_of_averages_is_refused(shapes):
    with pytest.raises(CheckpointMismatchError, match="auto, always, never"):
        make_plan(shapes, ema="sometimes")


def test_the_report_says_what_it_is_and_counts_used_ignored_and_missing(shapes):
    slots = {f"{name}/Momentum": shape for name, shape in shapes.items()}
    assert make_plan({**shapes, **slots, "global_step": ()}).report() == (
        "DeepLabv3 on MobileNetV2 with depth multiplier 0.5, 21 classes (1x1 branch, image "
        "pooling)\n272 tensors used\n272 ignored: optimizer slot\n1 ignored: training step\n"
        "0 missing"
    )
