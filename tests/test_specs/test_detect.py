"""Which network a checkpoint is, from the names and shapes of its variables."""

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from mmseg_deeplab_ext.conversion.plan import make_plan
from mmseg_deeplab_ext.errors import (
    CheckpointMismatchError,
    CheckpointUnsupportedError,
)
from mmseg_deeplab_ext.specs import (
    MobileNetEdgeTPUSpec,
    MobileNetV2Spec,
    MobileNetV3Spec,
    ResNetV1BetaSpec,
    ResNetV1Spec,
)
from mmseg_deeplab_ext.specs.deeplab_head import HeadSpec
from mmseg_deeplab_ext.specs.dense_prediction_cell import PUBLISHED
from mmseg_deeplab_ext.specs.network import NetworkSpec, detect_network
from tests.support.tf_files import (
    MNV2_ADE,
    MNV2_VOC,
    R18_BETA,
    R18_BETA_IMAGENET,
    head,
    head_with_logits_decoder,
    variables,
)

INVENTORY = Path(__file__).parents[3] / "shared" / "inventory"
R50 = ResNetV1BetaSpec(50)
NETWORKS = {
    "mobilenet": MNV2_VOC,
    "mobilenet 1.0 with decoder, 151 classes": MNV2_ADE,
    "mobilenet 1.4": NetworkSpec(MobileNetV2Spec(1.4), head(448)),
    "mobilenet 0.35": NetworkSpec(MobileNetV2Spec(0.35), head(112)),
    "mobilenet v3 large": NetworkSpec(MobileNetV3Spec("large"), head(480, num_rates=3, taps=[72])),
    "mobilenet v3 small 0.75": NetworkSpec(MobileNetV3Spec("small", 0.75), head(216, taps=[96])),
    "mobilenet edgetpu 0.75": NetworkSpec(MobileNetEdgeTPUSpec(0.75), head(960, num_classes=19)),
    "resnet 18 beta": R18_BETA,
    "resnet 18": NetworkSpec(ResNetV1Spec(18), head(512, num_rates=3, taps=[64])),
    "classifier": R18_BETA_IMAGENET,
    "no decoder": NetworkSpec(R50, head(2048, num_rates=3)),
    "dense": NetworkSpec(
        R50, head(2048, num_rates=3, taps=[256], aspp_separable=False, decoder_separable=False)
    ),
    "no pooling": NetworkSpec(R50, head(2048, num_rates=3, taps=[256], image_pooling=False)),
    "four rates": NetworkSpec(R50, head(2048, num_rates=4, num_classes=7)),
    "two stages": NetworkSpec(R50, head(2048, num_rates=3, taps=[512, 256])),
    "squeeze-and-excite": NetworkSpec(R50, head(2048, num_rates=3, aspp_squeeze_excite="sigmoid")),
    "squeeze-and-excite alone": NetworkSpec(
        R50, head(2048, aspp_squeeze_excite="qsigmoid", aspp_projection=False)
    ),
    "no projection": NetworkSpec(
        R50, head(2048, num_rates=2, taps=[256], aspp_projection=False, aspp_channels=64)
    ),
    "sum merge": NetworkSpec(
        R50, head(2048, num_rates=3, taps=[512, 256], projected=256, decoder_sum_merge=True)
    ),
    "dense sum merge": NetworkSpec(
        R50,
        head(2048, taps=[256], projected=256, decoder_sum_merge=True, decoder_separable=False),
    ),
    "dense prediction cell": NetworkSpec(
        R50, head(2048, taps=[256], dense_prediction_cell=PUBLISHED["branch5_top1_cityscapes"])
    ),
    "decoder output is logits": NetworkSpec(R50, head_with_logits_decoder(2048, taps=[512])),
    "the same with two stages": NetworkSpec(R50, head_with_logits_decoder(2048, taps=[512, 256])),
    "the same with concatenation": NetworkSpec(
        R50,
        head(2048, channels=7, num_classes=7, aspp_channels=256, taps=[512], decoder_logits=True),
    ),
}


def shapes_of(network):
    return {name: value.shape for name, value in variables(network).items()}


PUBLISHED_MOBILENET_V3 = {
    "image_pooling/weights": (1, 1, 288, 128),
    "image_pooling/biases": (128,),
    "aspp0/weights": (1, 1, 288, 128),
    **{f"aspp0/BatchNorm/{leaf}": (128,) for leaf in ("gamma", "beta")},
    **{f"aspp0/BatchNorm/moving_{leaf}": (128,) for leaf in ("mean", "variance")},
    "decoder/feature_projection0/weights": (1, 1, 88, 19),
    "decoder/feature_projection0/biases": (19,),
    "decoder/decoder_conv0/weights": (1, 1, 128, 19),
    "decoder/decoder_conv0/biases": (19,),
}


def test_the_head_of_the_published_mobilenet_v3_has_the_official_variables():
    network = head_with_logits_decoder(288, taps=[88])
    assert {rule.tf_name: rule.shape for rule in network.rules()} == PUBLISHED_MOBILENET_V3
    assert HeadSpec.found_in(PUBLISHED_MOBILENET_V3) == network


def test_a_config_of_the_published_mobilenet_v3s_head_has_few_keys():
    assert head_with_logits_decoder(288, taps=[88]).options() == dict(
        in_channels=288,
        channels=19,
        num_classes=19,
        aspp_channels=128,
        aspp_separable=True,
        image_pooling=True,
        aspp_squeeze_excite="qsigmoid",
        aspp_projection=False,
        c1_in_channels=88,
        decoder_sum_merge=True,
        decoder_logits=True,
        dilations=(1,),
    )


def test_without_its_last_layer_a_head_whose_decoder_makes_the_logits_has_no_decoder():
    left = NETWORKS["decoder output is logits"].without_logits()
    names = {rule.tf_name.partition("/")[0] for rule in left.head.rules()}
    assert names == {"image_pooling", "aspp0"}
    assert left.head.options()["num_classes"] is left.head.options()["channels"] is None
    others = NETWORKS["sum merge"].without_logits()
    assert any(rule.tf_name.startswith("decoder/") for rule in others.head.rules())


def test_dropping_the_last_layer_leaves_out_such_a_decoder():
    network = NETWORKS["decoder output is logits"]
    plan = make_plan(shapes_of(network), drop_logits=True)
    assert {name for name, why in plan.ignored.items() if why == "logits, dropped on request"} == {
        f"decoder/{layer}/{leaf}"
        for layer in ("feature_projection0", "decoder_conv0")
        for leaf in ("weights", "biases")
    }


def test_a_report_says_which_function_of_a_squeeze_and_excite_was_assumed():
    for name, function in (("squeeze-and-excite", "sigmoid"), ("decoder output is logits", "qsig")):
        report = make_plan(shapes_of(NETWORKS[name])).report()
        assert f"assumed: aspp_squeeze_excite='{function}" in report
    assert "assumed" not in make_plan(shapes_of(R18_BETA)).report()


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_every_option_of_a_network_is_found_from_its_variables(network):
    assert detect_network(shapes_of(network)) == network


MOBILENETS = (
    MobileNetV2Spec(),
    MobileNetV3Spec("large"),
    MobileNetV3Spec("small"),
    MobileNetEdgeTPUSpec(),
)


def kernels(factor, of=MOBILENETS[0]):
    """Name and shape of everything in a MobileNet of a depth multiplier."""
    return {rule.tf_name: rule.shape for rule in replace(of, widen_factor=factor).rules()}


every_mobilenet = pytest.mark.parametrize("spec", MOBILENETS, ids=lambda s: s.model_variant)


@every_mobilenet
def test_every_depth_multiplier_of_two_decimals_is_found(spec):
    factors = [number / 100 for number in range(5, 301)]
    shapes = {factor: kernels(factor, spec) for factor in factors}
    widths = {factor: tuple(of_one.values()) for factor, of_one in shapes.items()}
    alike = Counter(widths.values())
    for factor in factors:
        found = detect_network(shapes[factor]).backbone
        assert kernels(found.widen_factor, spec) == shapes[factor], factor
        assert replace(found, widen_factor=1.0) == spec
        assert found.widen_factor == factor or alike[widths[factor]] > 1, factor


@every_mobilenet
def test_a_depth_multiplier_of_more_decimals_gives_the_same_shapes(spec):
    for factor in (1 / 3, 0.123, 2 / 3, 1.4142, 2.718281828):
        found = detect_network(kernels(factor, spec)).backbone.widen_factor
        assert kernels(found, spec) == kernels(factor, spec), factor


@every_mobilenet
def test_a_width_that_no_multiplier_explains_is_named_with_the_right_one(spec):
    name = [rule.tf_name for rule in spec.rules() if rule.tf_name.endswith("/weights")][-1]
    shapes = kernels(0.75, spec)
    expected, changed = shapes[name], (*shapes[name][:3], shapes[name][3] + 60)
    with pytest.raises(CheckpointMismatchError, match="depth multiplier 0.75, but not") as caught:
        make_plan({**shapes, name: changed})
    assert f"{name} {list(changed)} instead of {list(expected)}" in str(caught.value)


class Slim(MobileNetV2Spec):
    """As ``V2_DEF`` of slim is built for its own classifiers."""

    width_divisor = 8


@pytest.mark.parametrize("factor", [0.35, 0.5, 0.75, 1.3, 1.4])
def test_slims_own_network_is_named_with_the_width_that_differs(factor):
    shapes = {rule.tf_name: rule.shape for rule in Slim(factor).rules()}
    with pytest.raises(CheckpointUnsupportedError) as caught:
        detect_network({**shapes, "MobilenetV2/Logits/Conv2d_1c_1x1/biases": (1001,)})
    assert f"slim's own MobileNetV2 with depth multiplier {factor}," in str(caught.value)
    name, theirs, ours = re.search(r"\((\S+) \[(.*)\]\).*\(\[(.*)\]\)", str(caught.value)).groups()
    assert theirs == ", ".join(map(str, shapes[name]))
    assert ours == ", ".join(map(str, kernels(factor)[name]))


def test_of_multiplier_1_slims_network_is_deeplabs():
    shapes = {rule.tf_name: rule.shape for rule in Slim(1.0).rules()}
    assert detect_network(shapes).backbone == MobileNetV2Spec(1.0)


def test_a_damaged_shape_does_not_change_the_depth_multiplier():
    shapes = {**kernels(0.37), "MobilenetV2/Conv/weights": (3, 3, 3, 1)}
    assert detect_network(shapes).backbone.widen_factor == 0.37


@pytest.mark.parametrize(
    "name", ["logits/semantic/weights", "MobilenetV2/expanded_conv_16/project/weights"]
)
def test_a_kernel_without_values_is_refused(name):
    shapes = shapes_of(MNV2_VOC)
    shapes[name] = (*shapes[name][:3], 0)
    with pytest.raises(CheckpointMismatchError, match=rf"{name} \[.*, 0\]"):
        detect_network(shapes)


def test_slots_and_averages_do_not_disturb():
    shapes = shapes_of(MNV2_VOC)
    for name in list(shapes):
        shapes[f"{name}/Momentum"] = shapes[f"{name}/ExponentialMovingAverage"] = shapes[name]
    assert detect_network({**shapes, "global_step": ()}) == MNV2_VOC


def test_a_network_is_found_from_its_averages_alone():
    shapes = {f"{k}/ExponentialMovingAverage": v for k, v in shapes_of(MNV2_VOC).items()}
    assert detect_network(shapes) == MNV2_VOC


@pytest.mark.parametrize("scope", ["xception_37", "MobilenetV1", "resnet_v1_34", "pnasnet"])
def test_a_network_of_the_family_that_is_not_built_here_is_named(scope):
    with pytest.raises(CheckpointUnsupportedError, match=scope):
        detect_network({f"{scope}/conv/weights": (3, 3, 3, 32), "logits/semantic/biases": (21,)})


@pytest.mark.parametrize("shapes", [{}, {"dense/kernel": (3, 4)}, {"global_step": ()}])
def test_what_is_no_deeplab_is_refused_with_the_scopes_found_and_known(shapes):
    with pytest.raises(CheckpointMismatchError, match="resnet_v1_18"):
        detect_network(shapes)


def test_a_partial_head_is_refused_with_the_kernel_that_is_missing():
    shapes = shapes_of(R18_BETA)
    del shapes["concat_projection/weights"]
    with pytest.raises(CheckpointMismatchError, match="concat_projection/weights"):
        detect_network(shapes)


def test_a_tap_that_the_backbone_does_not_have_is_refused():
    network = replace(R18_BETA, head=head(512, num_rates=3, taps=[77]))
    with pytest.raises(CheckpointMismatchError, match=r"\[77\].*\[64, 128, 256\]"):
        network.configs()


def test_the_sentence_names_network_classes_and_head():
    sentence = str(NETWORKS["dense"])
    assert sentence == (
        "DeepLabv3+ on ResNet-50-beta, 21 classes (ASPP with 3 dense atrous branches, image "
        "pooling, dense decoder of 1 stage)"
    )
    assert str(R18_BETA_IMAGENET) == "an ImageNet classifier (1001 classes) on ResNet-18-beta"


def expected_sentence(name):
    """The start of the sentence for an inventory file, from the file's name."""
    resnet = re.match(r"resnet_v1_(\d+)(_beta)?__(imagenet)?.*_nc(\d+)", name)
    if resnet:
        depth, beta, imagenet, classes = resnet.groups()
        backbone = f"ResNet-{depth}{'-beta' if beta else ' (plain stem)'}"
        if imagenet:
            return f"an ImageNet classifier ({classes} classes) on {backbone}"
        return f"DeepLabv3+ on {backbone}, {classes} classes"
    xception = re.match(r"xception_(\d+)__(imagenet)?.*_nc(\d+)", name)
    if xception:
        depth, imagenet, classes = xception.groups()
        if imagenet:
            return f"an ImageNet classifier ({classes} classes) on Xception-{depth}"
        return f"DeepLabv3+ on Xception-{depth}, {classes} classes"
    mobilenet = re.match(r"mobilenet_(v3_(\w+)_seg|edgetpu)__(slim_)?.*_nc(\d+)", name)
    if mobilenet:
        _, arch, slim, classes = mobilenet.groups()
        backbone = f"MobileNetV3-{arch}" if arch else "MobileNet-EdgeTPU"
        factor = "0.75" if slim else "1"
        plus = "+" * bool(arch)
        return f"DeepLabv3{plus} on {backbone} with depth multiplier {factor}, {classes} classes"
    factor = "0.5" if "dm05" in name else "1"
    plus = "+" if "dec4" in name else ""
    classes = re.search(r"_nc(\d+)", name).group(1)
    return f"DeepLabv3{plus} on MobileNetV2 with depth multiplier {factor}, {classes} classes"


@pytest.mark.skipif(not INVENTORY.exists(), reason="the official inventories are not here")
def test_every_official_network_is_found_or_named_as_not_built_here():
    found = 0
    for path in sorted(INVENTORY.glob("*.json")):
        listed = json.loads(path.read_text())["variables"]
        shapes = {variable["name"]: tuple(variable["shape"]) for variable in listed}
        known = path.name.startswith(("resnet_v1", "mobilenet_", "xception"))
        if not known:
            with pytest.raises(CheckpointUnsupportedError):
                make_plan(shapes)
            continue
        plan = make_plan(shapes)
        assert str(plan.network).startswith(expected_sentence(path.name)), path.name
        assert len(plan.sources) + len(plan.ignored) == len(shapes)
        found += 1
    assert found == 32
