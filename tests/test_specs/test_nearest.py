"""A file that is almost an official network: the nearest one, what differs, and what helps."""

import pytest

from mmseg_deeplab_ext.conversion.plan import make_plan
from mmseg_deeplab_ext.errors import CheckpointMismatchError
from mmseg_deeplab_ext.specs import BACKBONES, MobileNetV2Spec, ResNetV1BetaSpec, ResNetV1Spec
from mmseg_deeplab_ext.specs.dense_prediction_cell import PUBLISHED as CELLS
from mmseg_deeplab_ext.specs.network import NetworkSpec, detect_network
from tests.support.tf_files import MNV2_VOC, R18_BETA, head

PUBLISHED = [spec for family in BACKBONES for spec in family.published()]


def shapes_of(network, scope=""):
    return {scope + rule.tf_name: rule.shape for rule in network.rules()}


def refusal(shapes, **options):
    return str(pytest.raises(CheckpointMismatchError, make_plan, shapes, **options).value)


@pytest.mark.parametrize("spec", PUBLISHED, ids=str)
def test_every_backbone_in_another_scope_is_named_with_the_option_that_maps_it(spec):
    message = refusal(shapes_of(NetworkSpec(spec), "net/"))
    assert f"Nearest is {spec} in net/{spec.scope} (all its " in message
    assert "--scope net=" in message
    shapes = shapes_of(NetworkSpec(spec))
    renamed = {name.replace(spec.scope, "body"): shape for name, shape in shapes.items()}
    assert f"--scope body={spec.scope}" in refusal(renamed)
    plan = make_plan(renamed, scope=[f"body={spec.scope}"])
    assert plan.network == NetworkSpec(spec)
    assert {name for _, name in plan.sources} == set(renamed)


def test_a_mapped_scope_maps_heads_slots_and_averages_too():
    shapes = shapes_of(MNV2_VOC, "net/")
    more = {f"{name}/Momentum": shape for name, shape in shapes.items()}
    plan = make_plan({**shapes, **more, "global_step": ()}, scope=["net="])
    assert plan.network == MNV2_VOC
    assert set(plan.ignored) == {*more, "global_step"}


@pytest.mark.parametrize("spec", PUBLISHED, ids=str)
def test_a_backbone_without_its_stem_is_told_what_is_missing(spec):
    shapes = shapes_of(NetworkSpec(spec))
    for name in list(shapes)[:5]:
        del shapes[name]
    message = refusal(shapes)
    assert str(spec) in message
    assert f"5 missing{' in the file' * ('looks like' in message)}: {spec.scope}/" in message


def test_another_depth_under_a_known_scope_is_recognised():
    shapes = shapes_of(NetworkSpec(ResNetV1BetaSpec(101)))
    renamed = {n.replace("resnet_v1_101", "resnet_v1_50"): shape for n, shape in shapes.items()}
    message = refusal(renamed)
    assert "nearer is ResNet-101-beta in resnet_v1_50 (all its " in message
    assert "--scope resnet_v1_50=resnet_v1_101" in message


def test_a_changed_width_is_named_with_the_one_that_is_allowed():
    shapes = shapes_of(MNV2_VOC)
    shapes["MobilenetV2/Conv/weights"] = (3, 3, 3, 17)
    message = refusal(shapes)
    assert "the file looks like DeepLabv3 on MobileNetV2 with depth multiplier 0.5" in message
    assert "MobilenetV2/Conv/weights [3, 3, 3, 17] instead of [3, 3, 3, 16]" in message
    assert "no depth multiplier (widen_factor) gives these widths" in message
    assert message.endswith("published are 0.5, 1")


def test_a_head_without_one_of_its_branches_is_told_which():
    shapes = {n: s for n, s in shapes_of(R18_BETA).items() if not n.startswith("aspp2_")}
    message = refusal(shapes)
    assert "nearer is the head ASPP with 3 atrous branches, image pooling, decoder" in message
    assert "10 missing: aspp2_depthwise/depthwise_weights" in message


def test_a_head_without_a_kernel_that_tells_its_kind_is_compared_with_the_official_ones():
    shapes = shapes_of(R18_BETA)
    del shapes["concat_projection/weights"]
    with pytest.raises(CheckpointMismatchError) as caught:
        detect_network(shapes)
    assert "Nearest is DeepLabv3+ with ASPP with 3 atrous branches" in str(caught.value)
    assert "(1 missing: concat_projection/weights)" in str(caught.value)


def test_a_dense_prediction_cell_without_a_kernel_is_told_which():
    cell = CELLS["branch5_top1_cityscapes"]
    whole = NetworkSpec(
        ResNetV1BetaSpec(18), head(512, taps=[64], num_classes=19, dense_prediction_cell=cell)
    )
    shapes = shapes_of(whole)
    missing = next(name for name in shapes if name.startswith("meta_architecture/branch1"))
    del shapes[missing]
    message = refusal(shapes)
    assert "nearer is the head dense prediction cell of 5 branches" in message
    assert f"(1 missing: {missing})" in message


TWO = {**shapes_of(MNV2_VOC), **shapes_of(NetworkSpec(ResNetV1Spec(18)))}


def test_two_backbones_in_one_file_are_both_named_and_one_can_be_chosen():
    message = refusal(TWO)
    assert "holds 2 networks: MobileNetV2 with depth multiplier 0.5 (MobilenetV2) and " in message
    assert "ResNet-18 (plain stem) (resnet_v1_18)" in message
    assert "--ignore resnet_v1_18/" in message
    plan = make_plan(TWO, ignore=["resnet_v1_18/"])
    assert plan.network == MNV2_VOC
    assert set(plan.ignored.values()) == {"left out on request"}
    assert all(name.startswith("resnet_v1_18/") for name in plan.ignored)


def test_two_whole_networks_in_one_file_are_both_named_and_one_can_be_chosen():
    both = {**shapes_of(MNV2_VOC, "teacher/"), **shapes_of(MNV2_VOC, "student/")}
    message = refusal(both)
    assert "in teacher/MobilenetV2 (all" in message
    assert "in student/MobilenetV2 (all" in message
    assert "--scope student= or --scope teacher= (and --ignore SCOPE/ for the others)" in message
    plan = make_plan(both, scope=["student="], ignore=["teacher/"])
    assert plan.network == MNV2_VOC
    assert all(name.startswith("student/") for _, name in plan.sources)


def test_a_second_network_in_a_scope_of_its_own_is_named_with_the_option_that_leaves_it_out():
    other = NetworkSpec(ResNetV1BetaSpec(18))
    message = refusal({**shapes_of(MNV2_VOC), **shapes_of(other, "teacher/")})
    assert "another network, ResNet-18-beta in teacher/resnet_v1_18 (all its" in message
    assert "--ignore teacher/resnet_v1_18/" in message


def test_networks_of_two_kinds_in_scopes_of_their_own_are_both_named():
    other = NetworkSpec(ResNetV1BetaSpec(18))
    message = refusal({**shapes_of(MNV2_VOC, "a/"), **shapes_of(other, "b/")})
    assert "Nearest is MobileNetV2 with depth multiplier 0.5 in a/MobilenetV2 (all its " in message
    assert "and ResNet-18-beta in b/resnet_v1_18 (all its " in message


def test_an_ignored_scope_that_is_not_there_is_an_error():
    message = refusal(shapes_of(MNV2_VOC), ignore=["gone/"])
    assert "to be ignored, but not in the file: gone/" in message


@pytest.mark.parametrize(
    ("scope", "message"),
    [
        (["net"], "'net' should be OLD=NEW"),
        (["=net"], "'=net' should be OLD=NEW"),
        (["net=MobilenetV2"], "nothing in net; its scopes are MobilenetV2, aspp0"),
        (["aspp0=image_pooling"], "would both be image_pooling/"),
    ],
)
def test_a_scope_that_maps_nothing_or_two_variables_to_one_name_is_refused(scope, message):
    assert message in refusal(shapes_of(MNV2_VOC), scope=scope)


def test_a_file_that_is_near_to_nothing_is_told_no_nearest():
    few = dict(list(shapes_of(NetworkSpec(MobileNetV2Spec(1.0)), "net/").items())[:40])
    assert "Nearest" not in refusal({**few, "net/bn/moving_variance": (3,)})


def test_a_head_of_another_width_has_no_official_one_that_is_nearer():
    wide = NetworkSpec(ResNetV1BetaSpec(18), head(512, num_rates=3, taps=[64], num_classes=7))
    shapes = {**shapes_of(wide), "surprise": (3,)}
    assert "nearer" not in refusal(shapes)
