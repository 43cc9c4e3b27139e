"""``tf://`` in MMEngine's loading: everything that is needed arrives, or an error says why not."""

import copy
import re

import numpy as np
import pytest
import torch
from mmengine.runner import CheckpointLoader, load_checkpoint
from mmseg.registry import MODELS

from mmseg_deeplab_ext.checkpoints import CheckpointError
from mmseg_deeplab_ext.checkpoints.writer import write_checkpoint
from mmseg_deeplab_ext.errors import (
    CheckpointMismatchError,
    CheckpointNotFoundError,
)
from mmseg_deeplab_ext.specs import ResNetV1BetaSpec
from mmseg_deeplab_ext.specs.network import NetworkSpec
from tests.support.graph_files import frozen
from tests.support.tf_files import (
    MNV2_ADE,
    MNV2_VOC,
    R18_BETA,
    R18_BETA_IMAGENET,
    head,
    head_with_logits_decoder,
    variables,
    write_network,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tf")
    write_network(folder / "segmentor", MNV2_VOC, global_step=np.array(30000))
    write_network(folder / "imagenet", R18_BETA_IMAGENET)
    return folder


@pytest.fixture
def segmentor(folder):
    return f"tf://{folder}/segmentor"


@pytest.fixture
def imagenet(folder):
    return f"tf://{folder}/imagenet"


def pretrained(checkpoint, **more):
    return dict(type="Pretrained", checkpoint=checkpoint, **more)


def build(network, **head):
    configs = copy.deepcopy(network.configs())
    configs["decode_head"].update(head)
    return MODELS.build(dict(type="EncoderDecoder", **configs))


def check_values(module, network, prefix=""):
    """Every tensor of the module holds what its rule makes of TensorFlow's variable."""
    values = variables(network)
    state = module.state_dict()
    wanted = {name for name in state if not name.endswith("num_batches_tracked")}
    checked = set()
    for rule in network.rules():
        name = rule.torch_name[len(prefix) :]
        if rule.torch_name.startswith(prefix):
            expected = torch.from_numpy(rule.to_torch(values[rule.tf_name]).copy())
            assert torch.equal(state[name], expected), name
            checked.add(name)
    assert checked == wanted


@pytest.mark.parametrize("more", [{}, {"prefix": "backbone."}, {"prefix": "backbone"}], ids=str)
def test_a_backbone_takes_its_part_of_a_segmentor_with_and_without_prefix(segmentor, more):
    config = MNV2_VOC.configs()["backbone"]
    backbone = MODELS.build(dict(config, init_cfg=pretrained(segmentor, **more)))
    backbone.init_weights()
    check_values(backbone, MNV2_VOC, "backbone.")


@pytest.mark.parametrize("more", [{}, {"prefix": "decode_head."}], ids=str)
def test_a_head_takes_its_part_of_a_segmentor_with_and_without_prefix(segmentor, more):
    config = MNV2_VOC.configs()["decode_head"]
    head = MODELS.build(dict(config, init_cfg=pretrained(segmentor, **more)))
    head.init_weights()
    check_values(head, MNV2_VOC, "decode_head.")


def test_a_backbone_takes_an_imagenet_classifier_without_its_logits(imagenet):
    config = R18_BETA_IMAGENET.configs()["backbone"]
    backbone = MODELS.build(dict(config, init_cfg=pretrained(imagenet)))
    backbone.init_weights()
    check_values(backbone, R18_BETA_IMAGENET, "backbone.")


def test_an_imagenet_classifier_starts_a_cascade_and_all_that_it_adds(imagenet):
    config = dict(R18_BETA_IMAGENET.configs()["backbone"], cascade=2)
    backbone = MODELS.build(dict(config, init_cfg=pretrained(imagenet)))
    backbone.init_weights()
    rules = {rule.torch_name: rule.tf_name for rule in R18_BETA_IMAGENET.backbone.rules("")}
    values = variables(R18_BETA_IMAGENET)
    state = backbone.state_dict()
    for name in ("layer4.0.bn1.weight", "layer4.1.bn1.weight"):
        np.testing.assert_array_equal(state[name], values[rules[name]])
    for name in ("layer5.0.bn1.weight", "layer5.1.bn1.weight", "layer6.1.bn1.weight"):
        np.testing.assert_array_equal(state[name], values[rules["layer4.1.bn1.weight"]])


def test_a_cascade_that_is_to_take_a_whole_segmentor_of_tensorflows_is_refused(tmp_path):
    write_network(tmp_path / "r18", R18_BETA)
    configs = copy.deepcopy(R18_BETA.configs())
    configs["backbone"]["cascade"] = 1
    model = MODELS.build(dict(type="EncoderDecoder", **configs))
    message = "with block 5 in cascade.\n.*change in model.backbone: remove cascade.\n.*layer5.0"
    with pytest.raises(CheckpointMismatchError, match=message):
        load_checkpoint(model, f"tf://{tmp_path}/r18", map_location="cpu")


def test_a_segmentor_initialises_its_backbone_alone(imagenet):
    configs = R18_BETA.configs()
    configs["backbone"]["init_cfg"] = pretrained(imagenet)
    model = MODELS.build(dict(type="EncoderDecoder", **configs))
    model.init_weights()
    check_values(model.backbone, R18_BETA_IMAGENET, "backbone.")


def test_a_whole_segmentor_is_initialised(segmentor):
    model = MODELS.build(
        dict(type="EncoderDecoder", init_cfg=pretrained(segmentor), **MNV2_VOC.configs())
    )
    model.init_weights()
    check_values(model, MNV2_VOC)


def test_load_from_fills_a_segmentor_and_brings_the_classes(segmentor):
    model = build(MNV2_VOC)
    checkpoint = load_checkpoint(model, segmentor, map_location="cpu")
    check_values(model, MNV2_VOC)
    assert checkpoint["meta"]["classes_by_number"] is True
    meta = checkpoint["meta"]["dataset_meta"]
    assert len(meta["classes"]) == len(meta["palette"]) == 21
    assert meta["classes"][15] == "person"


def test_a_copy_of_a_model_checks_its_weights_as_well(segmentor, imagenet):
    model = copy.deepcopy(build(MNV2_VOC))
    load_checkpoint(model, segmentor)
    check_values(model, MNV2_VOC)
    with pytest.raises(CheckpointMismatchError):
        load_checkpoint(copy.deepcopy(build(R18_BETA)), segmentor)


def test_pytorchs_own_loading_checks_as_well(segmentor):
    state = CheckpointLoader.load_checkpoint(segmentor)["state_dict"]
    model = build(MNV2_VOC)
    model.load_state_dict(state)
    check_values(model, MNV2_VOC)
    with pytest.raises(CheckpointMismatchError):
        build(MNV2_VOC, num_classes=19).load_state_dict(state, strict=False)


def test_the_loaded_tensors_are_ordinary_ones(segmentor, tmp_path):
    state = CheckpointLoader.load_checkpoint(segmentor)["state_dict"]
    torch.save(state, tmp_path / "saved.pth")
    model = build(MNV2_VOC)
    model.load_state_dict(torch.load(tmp_path / "saved.pth", weights_only=True))
    check_values(model, MNV2_VOC)


@pytest.mark.parametrize("place", [None, "cpu", torch.device("cpu"), {"cuda:0": "cpu"}], ids=str)
def test_every_kind_of_map_location_is_accepted(segmentor, place):
    model = build(MNV2_VOC)
    load_checkpoint(model, segmentor, map_location=place)
    check_values(model, MNV2_VOC)


def test_a_beta_stem_does_not_fit_a_plain_one_and_the_config_line_is_named(imagenet):
    backbone = MODELS.build(
        dict(type="mmseg_deeplab_ext.ResNetV1", depth=18, init_cfg=pretrained(imagenet))
    )
    with pytest.raises(CheckpointMismatchError) as caught:
        backbone.init_weights()
    message = str(caught.value)
    assert (
        "holds an ImageNet classifier (1001 classes) on ResNet-18-beta; the config's "
        "model.backbone is ResNet-18 (plain stem)." in message
    )
    assert "change in model.backbone: type='mmseg_deeplab_ext.ResNetV1Beta'" in message
    assert (
        "6 of another shape: stem.0.conv.weight [16, 3, 3, 3] in the file, [64, 3, 7, 7]" in message
    )
    assert "15 left over in the file: stem.1.conv.weight" in message


@pytest.mark.parametrize(
    ("network", "head", "change"),
    [
        (MNV2_VOC, {"num_classes": 19}, r"num_classes=21 \(now 19\)"),
        (MNV2_VOC, {"dilations": (1, 6, 12, 18)}, r"dilations with 0 rates after the 1 \(now 3\)"),
        (MNV2_VOC, {"image_pooling": False}, r"image_pooling=True \(now False\)"),
        (MNV2_VOC, {"c1_in_channels": 72}, r"c1_in_channels=0 \(now 72\)"),
    ],
    ids=["classes", "rates", "pooling", "decoder"],
)
def test_a_head_with_other_options_is_told_which_ones(segmentor, network, head, change):
    with pytest.raises(CheckpointMismatchError, match=f"change in model.decode_head: .*{change}"):
        load_checkpoint(build(network, **head), segmentor)


def test_ade20ks_151_channels_in_a_model_of_150_classes_are_told_the_tool_that_converts(tmp_path):
    write_network(tmp_path / "ade", MNV2_ADE)
    with pytest.raises(CheckpointMismatchError, match=r"num_classes=151 \(now 150\)") as caught:
        load_checkpoint(build(MNV2_ADE, num_classes=150), f"tf://{tmp_path / 'ade'}")
    assert "tools/model_converters/tf2mmseg.py" in str(caught.value)
    assert "--ade150" in str(caught.value)
    with pytest.raises(CheckpointMismatchError) as caught:
        load_checkpoint(build(MNV2_ADE, num_classes=19), f"tf://{tmp_path / 'ade'}")
    assert "--ade150" not in str(caught.value)


def test_for_a_network_of_another_family_the_whole_backbone_is_to_be_replaced(segmentor):
    with pytest.raises(CheckpointMismatchError) as caught:
        load_checkpoint(build(R18_BETA), segmentor)
    backbone, *_ = str(caught.value).splitlines()[1:]
    assert (
        "backbone=dict(_delete_=True, type='mmseg_deeplab_ext.MobileNetV2', widen_factor=0.5)"
        in backbone
    )
    assert "--config-out" in backbone
    assert "missing in the file: conv1" not in str(caught.value)


def test_classes_are_no_difference_where_the_last_layer_is_dropped(segmentor):
    with pytest.raises(CheckpointMismatchError) as caught:
        load_checkpoint(build(R18_BETA), f"{segmentor}?drop_logits=true")
    assert "num_classes" not in str(caught.value)


def test_mismatches_of_backbone_and_head_are_told_together(segmentor):
    configs = R18_BETA.configs()
    configs["decode_head"].update(num_classes=19)
    with pytest.raises(CheckpointMismatchError) as caught:
        load_checkpoint(MODELS.build(dict(type="EncoderDecoder", **configs)), segmentor)
    message = str(caught.value)
    assert "model.backbone is ResNet-18-beta" in message
    assert "model.decode_head is a head for 19 classes" in message


def test_a_backbone_that_does_not_fit_is_told_though_the_head_does(segmentor):
    configs = MNV2_VOC.configs()
    configs["backbone"].update(widen_factor=0.75)
    with pytest.raises(CheckpointMismatchError, match=r"widen_factor=0.5 \(now 0.75\)"):
        load_checkpoint(MODELS.build(dict(type="EncoderDecoder", **configs)), segmentor)


def test_the_advice_for_a_decoder_of_two_stages_builds(tmp_path):
    two_stages = NetworkSpec(ResNetV1BetaSpec(18), head(512, num_rates=3, taps=[128, 64]))
    write_network(tmp_path / "two", two_stages)
    with pytest.raises(CheckpointMismatchError, match=r"c1_in_index=\[1, 0\]"):
        load_checkpoint(build(R18_BETA), f"tf://{tmp_path}/two")
    model = build(two_stages)
    load_checkpoint(model, f"tf://{tmp_path}/two")
    check_values(model, two_stages)


def test_the_wrong_prefix_for_a_part_is_named(segmentor):
    config = MNV2_VOC.configs()["backbone"]
    backbone = MODELS.build(dict(config, init_cfg=pretrained(segmentor, prefix="decode_head.")))
    with pytest.raises(CheckpointMismatchError, match="`prefix` must be 'backbone.'"):
        backbone.init_weights()


@pytest.mark.parametrize("foreign", ["decode_head", "backbone"])
def test_weights_that_no_module_would_take_are_an_error(segmentor, foreign):
    configs = MNV2_VOC.configs()
    configs[foreign] = {
        "decode_head": dict(
            type="FCNHead", in_channels=160, in_index=3, channels=8, num_classes=21
        ),
        "backbone": dict(type="MobileNetV2", widen_factor=0.5, out_indices=(1, 2, 4, 6)),
    }[foreign]
    model = MODELS.build(dict(type="EncoderDecoder", **configs))
    with pytest.raises(CheckpointMismatchError, match=f"taken by nothing: .*model.{foreign}"):
        load_checkpoint(model, segmentor)


def test_a_model_that_took_everything_runs_and_keeps_no_hook(segmentor):
    model = build(MNV2_VOC).eval()
    load_checkpoint(model, segmentor)
    assert not model.backbone._forward_pre_hooks
    assert not model.backbone._load_state_dict_pre_hooks
    assert model(torch.zeros(1, 3, 65, 65)).shape == (1, 21, 5, 5)


def test_a_classifier_is_no_whole_segmentor(imagenet):
    with pytest.raises(CheckpointMismatchError, match=r"model.backbone.init_cfg=dict\(type="):
        load_checkpoint(build(R18_BETA), imagenet)


def test_dropped_logits_leave_the_last_layer_as_it_was(segmentor):
    model = build(MNV2_VOC, num_classes=7)
    before = model.decode_head.conv_seg.weight.clone()
    load_checkpoint(model, f"{segmentor}?drop_logits=true")
    assert torch.equal(model.decode_head.conv_seg.weight, before)
    assert "?drop_logits=true" in str(
        pytest.raises(CheckpointMismatchError, load_checkpoint, model, segmentor).value
    )


def test_a_decoder_that_makes_the_logits_is_dropped_with_them(tmp_path):
    network = NetworkSpec(MNV2_VOC.backbone, head_with_logits_decoder(160, taps=[96]))
    write_network(tmp_path / "model", network)
    model = build(network, num_classes=7, channels=7)
    before = copy.deepcopy(model.decode_head.decoder.state_dict())
    message = r"19 classes(.|\n)*channels=19 \(now 7\); num_classes=19 \(now 7\).*\n.*drop_logits"
    with pytest.raises(CheckpointMismatchError, match=message):
        load_checkpoint(model, f"tf://{tmp_path}/model")
    load_checkpoint(model, f"tf://{tmp_path}/model?drop_logits=true")
    for name, value in model.decode_head.decoder.state_dict().items():
        assert torch.equal(value, before[name])
    projected = variables(network)["aspp0/weights"]
    assert np.array_equal(
        model.decode_head.aspp.branches[0].conv.weight.detach()[:, :, 0, 0], projected[0, 0].T
    )
    same = build(network)
    load_checkpoint(same, f"tf://{tmp_path}/model")
    check_values(same, network)


def test_moving_averages_are_an_option_of_the_address(tmp_path):
    tensors = variables(MNV2_VOC)
    averages = {f"{k}/ExponentialMovingAverage": v + 1 for k, v in tensors.items()}
    write_checkpoint(tmp_path / "ema", {**tensors, **averages})
    model = build(MNV2_VOC)
    load_checkpoint(model, f"tf://{tmp_path}/ema")
    check_values(model, MNV2_VOC)
    load_checkpoint(model, f"tf://{tmp_path}/ema?ema=always")
    biases = torch.from_numpy(tensors["logits/semantic/biases"] + 1)
    assert torch.equal(model.decode_head.conv_seg.bias, biases)


@pytest.mark.parametrize("query", ["drop_logits=perhaps", "drop", "ema=1"])
def test_an_unknown_option_is_refused_with_those_there_are(segmentor, query):
    with pytest.raises(CheckpointError, match=r"ema=auto\|always\|never; drop_logits=true\|false"):
        load_checkpoint(build(MNV2_VOC), f"{segmentor}?{query}")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(CheckpointNotFoundError, match=re.escape(str(tmp_path / "absent"))):
        load_checkpoint(build(MNV2_VOC), f"tf://{tmp_path}/absent")


def test_weights_in_other_precisions_arrive_as_float32(tmp_path):
    tensors = {name: value.astype("float64") for name, value in variables(MNV2_VOC).items()}
    write_checkpoint(tmp_path / "double", tensors)
    model = build(MNV2_VOC)
    load_checkpoint(model, f"tf://{tmp_path}/double")
    assert {value.dtype for value in model.parameters()} == {torch.float32}
    check_values(model, MNV2_VOC)


def test_integers_are_no_weights(tmp_path):
    tensors = variables(MNV2_VOC)
    name = "logits/semantic/biases"
    write_checkpoint(tmp_path / "whole", {**tensors, name: tensors[name].astype("int32")})
    with pytest.raises(CheckpointMismatchError, match=f"{name} holds int32 instead of float32"):
        load_checkpoint(build(MNV2_VOC), f"tf://{tmp_path}/whole")


def test_a_variable_of_another_shape_than_its_network_is_named(tmp_path):
    tensors = variables(MNV2_VOC)
    name = "aspp0/BatchNorm/beta"
    write_checkpoint(tmp_path / "odd", {**tensors, name: tensors[name][:100]})
    with pytest.raises(CheckpointMismatchError, match=rf"{name} \[100\] instead of \[256\]"):
        load_checkpoint(build(MNV2_VOC), f"tf://{tmp_path}/odd")


def test_a_scope_that_was_renamed_is_an_option_of_the_address(tmp_path):
    renamed = {f"net/{name}": value for name, value in variables(MNV2_VOC).items()}
    write_checkpoint(tmp_path / "renamed", {**renamed, "other/x": np.zeros(3, np.float32)})
    model = build(MNV2_VOC)
    with pytest.raises(CheckpointMismatchError, match=r"an address \?scope=net= at its end"):
        load_checkpoint(model, f"tf://{tmp_path}/renamed")
    load_checkpoint(model, f"tf://{tmp_path}/renamed?scope=net=&ignore=other/")
    check_values(model, MNV2_VOC)


UNKNOWN_HEADS = {
    "a part of a head": {"aspp0/weights": (1, 1, 160, 256), "logits/semantic/biases": (91,)},
    "no logits": {"decoder/feature_projection0/weights": (1, 1, 144, 48)},
    "another head": {"fpn/lateral/weights": (1, 1, 160, 64), "fpn/lateral/weights/Momentum": (3,)},
}


@pytest.fixture(params=UNKNOWN_HEADS)
def backbone_with_another_head(request, tmp_path):
    backbone = variables(NetworkSpec(MNV2_VOC.backbone))
    others = {k: np.ones(shape, np.float32) for k, shape in UNKNOWN_HEADS[request.param].items()}
    slots = {f"{name}/Momentum": value for name, value in backbone.items()}
    write_checkpoint(tmp_path / "other", {**backbone, **slots, **others})
    return f"tf://{tmp_path}/other"


def test_a_backbone_is_loaded_whatever_head_the_file_has(backbone_with_another_head):
    config = MNV2_VOC.configs()["backbone"]
    backbone = MODELS.build(dict(config, init_cfg=pretrained(backbone_with_another_head)))
    backbone.init_weights()
    check_values(backbone, NetworkSpec(MNV2_VOC.backbone), "backbone.")


@pytest.mark.parametrize("part", ["decode_head", "segmentor"])
def test_whoever_needs_the_head_is_told_what_is_wrong_with_it(backbone_with_another_head, part):
    configs = MNV2_VOC.configs()
    config = configs[part] if part in configs else dict(type="EncoderDecoder", **configs)
    module = MODELS.build(dict(config, init_cfg=pretrained(backbone_with_another_head)))
    with pytest.raises(CheckpointMismatchError, match="kernel|not completely"):
        module.init_weights()


def test_a_damaged_backbone_is_refused_whatever_the_head_is(tmp_path):
    tensors = variables(MNV2_VOC)
    del tensors["MobilenetV2/Conv/weights"], tensors["aspp0/weights"]
    write_checkpoint(tmp_path / "damaged", tensors)
    backbone = MODELS.build(
        dict(MNV2_VOC.configs()["backbone"], init_cfg=pretrained(f"tf://{tmp_path}/damaged"))
    )
    with pytest.raises(CheckpointMismatchError, match="aspp0/weights"):
        backbone.init_weights()


def test_a_frozen_graph_is_loaded_as_a_checkpoint(tmp_path):
    (tmp_path / "frozen_inference_graph.pb").write_bytes(frozen(variables(MNV2_VOC)))
    model = build(MNV2_VOC)
    load_checkpoint(model, f"tf://{tmp_path}/frozen_inference_graph.pb")
    check_values(model, MNV2_VOC)
