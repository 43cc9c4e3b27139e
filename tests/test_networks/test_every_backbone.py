"""What holds for every backbone in ``specs.BACKBONES``; a new family is tested by its line there.

Literal facts of one family (widths, constants, where its strides sit) are in its own test file.
"""

import functools
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import nn

import mmseg_deeplab_ext
from mmseg_deeplab_ext.conversion.config_file import network_config
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.specs import BACKBONES
from mmseg_deeplab_ext.specs.backbone import FINAL_OUTPUT
from mmseg_deeplab_ext.specs.deeplab_head import HeadSpec
from mmseg_deeplab_ext.specs.network import NetworkSpec, detect_network, network_of_model

SCHEDULE = Path(__file__).parents[2] / "configs" / "_base_" / "schedules" / "schedule_30k.py"
IMAGE = torch.randn(2, 3, 65, 97, generator=torch.Generator().manual_seed(0))
# Strided convolutions that pad by the size need odd maps to be subsampled, as 32 k + 1 gives; those
# of the ResNets and of Xception pad by a fixed number, so that any size does.
SIZES = dict.fromkeys(("ResNetV1", "ResNetV1Beta", "Xception"), (66, 97))


def parameters(spec):
    return sum(int(np.prod(rule.shape)) for rule in spec.rules())


SPECS = [spec for family in BACKBONES for spec in family.published()]
SMALLEST = [min(family.published(), key=parameters) for family in BACKBONES]
every_network = pytest.mark.parametrize("spec", SPECS, ids=str)
every_family = pytest.mark.parametrize("spec", SMALLEST, ids=str)


def build(spec, **arguments):
    return getattr(mmseg_deeplab_ext, spec.module)(**spec.options(), **arguments)


def outputs_of(spec):
    """Indices of the feature maps that the network has."""
    return (*range(len(spec.taps)), FINAL_OUTPUT)


def batch_norms(module):
    return [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]


@every_network
def test_the_state_dict_is_what_the_rules_say(spec):
    with torch.device("meta"):
        state = build(spec).state_dict()
    names = {n: tuple(v.shape) for n, v in state.items() if "num_batches_tracked" not in n}
    # Views of a single zero: shapes alone are rearranged.
    empty = {rule: np.broadcast_to(np.float32(0), rule.shape) for rule in spec.rules("")}
    assert {rule.torch_name: rule.to_torch(value).shape for rule, value in empty.items()} == names
    assert len({rule.tf_name for rule in empty}) == len(empty)
    for rule, value in empty.items():
        assert rule.to_tf(rule.to_torch(value)).shape == rule.shape


@every_network
def test_a_network_is_recognised_from_its_own_variables(spec):
    found = detect_network({rule.tf_name: rule.shape for rule in spec.rules()})
    assert found == NetworkSpec(spec)
    assert str(found) == str(spec)


@every_network
def test_a_built_network_knows_what_it_is(spec):
    with torch.device("meta"):
        assert network_of_model(build(spec)) == NetworkSpec(spec)


@every_network
def test_the_config_of_a_segmentor_on_it_builds(spec):
    head = HeadSpec.of(
        in_channels=spec.channels,
        channels=256,
        num_classes=21,
        num_rates=3,
        c1_in_channels=tuple(tap.channels for tap in spec.taps[:1]),
        c1_channels=(48,) * len(spec.taps[:1]),
    )
    cfg = network_config(NetworkSpec(spec, head))
    with torch.device("meta"):
        parts = {key: MODELS.build(cfg.model[key]) for key in ("backbone", "decode_head")}
    assert network_of_model(SimpleNamespace(**parts)) == NetworkSpec(spec, head)
    preprocessor = cfg.model.data_preprocessor
    assert (tuple(preprocessor.mean), tuple(preprocessor.std)) == (spec.input.mean, spec.input.std)
    assert cfg.optim_wrapper.optimizer.weight_decay == spec.weight_decay
    assert cfg.model.backbone.output_stride == spec.default_output_stride


@every_family
def test_every_allowed_output_stride_builds_and_its_maps_are_as_declared(spec):
    for output_stride in spec.output_strides:
        network = build(spec, output_stride=output_stride).eval()
        with torch.no_grad():
            features = network(IMAGE)
        declared = [(tap.stride, tap.channels) for tap in spec.taps] + [(32, spec.channels)]
        assert len(features) == len(declared)
        for feature, (stride, channels) in zip(features, declared):
            stride = min(stride, output_stride)
            assert feature.shape[1:] == (channels, -(-65 // stride), -(-97 // stride))


@every_family
def test_every_other_output_stride_is_refused_with_the_allowed_ones(spec):
    allowed = ", ".join(map(str, spec.output_strides))
    others = [each for each in (0, 1, 2, 4, 8, 12, 24, 64) if each not in spec.output_strides]
    for output_stride in (*others, True, 16.0, "16"):
        with pytest.raises(ConfigError, match=f"output_stride={output_stride!r} .*{allowed}"):
            build(spec, output_stride=output_stride)


@functools.lru_cache(maxsize=1)
def nominal_network(spec):
    torch.manual_seed(0)
    network = build(spec, output_stride=32, out_indices=(FINAL_OUTPUT,)).double().eval()
    # The moving statistics of a fresh network would let the activations explode.
    for module in batch_norms(network):
        module.running_var.fill_(2.0)
    image = torch.randn(1, 3, *SIZES.get(spec.module, (65, 97)), dtype=torch.float64)
    with torch.no_grad():
        return network, image, network(image)[0]


# Its squeeze-excites see another map at another density: test_mobilenet_v3.py.
NOT_ALIKE = "MobileNetV3"


@pytest.mark.parametrize(
    ("spec", "output_stride"),
    [
        (spec, stride)
        for spec in SPECS
        for stride in spec.output_strides
        if stride < 32 and spec.module != NOT_ALIKE
    ],
    ids=lambda value: str(value),
)
def test_the_dense_output_subsampled_equals_the_nominal_output(spec, output_stride):
    nominal, image, expected = nominal_network(spec)
    dense = build(spec, output_stride=output_stride, out_indices=(FINAL_OUTPUT,)).double().eval()
    dense.load_state_dict(nominal.state_dict())
    factor = 32 // output_stride
    with torch.no_grad():
        subsampled = dense(image)[0][..., ::factor, ::factor]
    assert subsampled.shape == expected.shape
    assert (subsampled - expected).abs().max() / expected.abs().max() < 1e-12


@every_family
def test_out_indices_choose_the_feature_maps(spec):
    indices = outputs_of(spec)
    every = build(spec).eval()
    with torch.no_grad():
        expected = dict(zip(indices, every(IMAGE)))
    for chosen in {(FINAL_OUTPUT,), indices[:1], indices[1::2] or indices}:
        some = build(spec, out_indices=chosen).eval()
        some.load_state_dict(every.state_dict())
        with torch.no_grad():
            features = some(IMAGE)
        assert len(features) == len(chosen)
        for index, feature in zip(chosen, features):
            assert torch.equal(feature, expected[index])


@every_family
def test_on_request_the_stems_output_at_stride_2_follows_the_feature_maps(spec):
    plain, network = build(spec).eval(), build(spec, stem_map=True).eval()
    network.load_state_dict(plain.state_dict())
    with torch.no_grad():
        *features, stem_map = network(IMAGE)
        assert torch.equal(stem_map, network.stem(IMAGE))
        expected = plain(IMAGE)
    assert len(features) == len(expected)
    assert all(map(torch.equal, features, expected))
    assert stem_map.shape[-2:] == (33, 49)


@every_family
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(out_indices=3), r"out_indices=3 must be a list"),
        (dict(out_indices=(3, 0)), r"out_indices=\(3, 0\) must be ascending"),
        (dict(out_indices=(4,)), r"out_indices=\(4,\)"),
        (dict(frozen_stages=9), r"frozen_stages=9 .*-1, 0, 1, 2, 3, 4"),
        (dict(frozen_stages=-2), r"frozen_stages=-2 .*-1, 0, 1, 2, 3, 4"),
    ],
    ids=str,
)
def test_an_impossible_argument_is_refused_with_the_allowed_values(spec, arguments, message):
    with pytest.raises(ConfigError, match=message):
        build(spec, **arguments)


@every_family
def test_a_multi_grid_of_another_length_is_refused_and_so_is_one_where_there_is_none(spec):
    if not spec.multi_grid_length:
        with pytest.raises(ConfigError, match="multi_grid=.* has none: leave it out"):
            network_config(
                NetworkSpec(spec, HeadSpec.of(in_channels=spec.channels, channels=256,
                                              num_classes=21, num_rates=0)),
                multi_grid=(1, 2, 4),
            )  # fmt: skip
        return
    assert len(spec.multi_grid or [1] * spec.multi_grid_length) == spec.multi_grid_length
    wrong = (1,) * (spec.multi_grid_length + 1)
    with pytest.raises(ConfigError, match=f"{len(wrong)} entries.*{spec.multi_grid_length} "):
        build(spec, multi_grid=wrong)


@every_family
def test_other_norm_layers_are_built_as_configured(spec):
    network = build(spec, norm_cfg=dict(type="GN", num_groups=4))
    assert not batch_norms(network)
    assert any(isinstance(m, nn.GroupNorm) for m in network.modules())


@every_family
def test_batch_norms_have_the_declared_constants_unless_the_config_states_others(spec):
    def constants(network):
        return {(m.momentum, m.eps) for m in batch_norms(network)}

    declared = spec.batch_norm
    assert constants(build(spec)) == {(round(1 - declared.decay, 10), declared.eps)}
    stated = build(spec, norm_cfg=dict(type="BN", momentum=0.1, eps=1e-2))
    assert constants(stated) == {(0.1, 1e-2)}


@every_family
def test_a_training_step_moves_the_statistics_by_one_minus_the_decay(spec):
    torch.manual_seed(0)
    network = build(spec, out_indices=(FINAL_OUTPUT,)).train()
    seen = {}
    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            before = module.running_mean.clone(), module.running_var.clone()
            module.register_forward_hook(
                lambda m, args, out, n=name, b=before: seen.update({n: (args[0], out.clone(), *b)})
            )
    with torch.no_grad():
        network(IMAGE)
    assert len(seen) == len(batch_norms(network))
    decay, eps = spec.batch_norm.decay, spec.batch_norm.eps
    for name, (x, out, mean, variance) in seen.items():
        module = network.get_submodule(name)
        batch = x.double().mean(dim=(0, 2, 3))
        # The moving variance takes the corrected one, as TensorFlow's; the batch, the other.
        corrected, plain = (x.double().var(dim=(0, 2, 3), unbiased=each) for each in (True, False))
        for moved, old, new in (
            (module.running_mean, mean, batch),
            (module.running_var, variance, corrected),
        ):
            expected = (decay * old + (1 - decay) * new).float()
            torch.testing.assert_close(moved, expected, rtol=1e-6, atol=1e-6)
        centred = x - batch[:, None, None]
        expected = (centred / (plain + eps).sqrt()[:, None, None]).float()
        torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-4)


@every_network
def test_the_recipe_decays_and_speeds_up_what_tensorflow_does(spec):
    schedule = Config.fromfile(SCHEDULE)
    with torch.device("meta"):
        network = build(spec)
    wrapper = build_optim_wrapper(network, schedule.optim_wrapper)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    groups = {names[id(g["params"][0])]: g for g in wrapper.optimizer.param_groups}
    trained = [rule for rule in spec.rules("") if rule.torch_name in groups]
    assert len(trained) == len(groups)
    for rule in trained:
        group, leaf = groups[rule.torch_name], rule.tf_name.rpartition("/")[2]
        assert (group["weight_decay"] > 0) == (leaf == "weights"), rule.tf_name
        assert group["lr"] == 0.007 * (2 if leaf == "biases" else 1), rule.tf_name


@every_family
@pytest.mark.parametrize("stages", [-1, 0, 2, "all"])
def test_frozen_stages_neither_train_nor_update_their_statistics(spec, stages):
    stages = len(spec.blocks) if stages == "all" else stages
    network = build(spec, frozen_stages=stages).train()
    assert len(network.layer_names) == len(spec.blocks)
    for number, layer in enumerate(["stem", *network.layer_names]):
        module = getattr(network, layer)
        frozen = number <= stages
        assert all(p.requires_grad != frozen for p in module.parameters())
        assert all(m.training != frozen for m in batch_norms(module))


@every_family
def test_norm_eval_keeps_statistics_but_trains_gamma_and_beta(spec):
    network = build(spec, norm_eval=True).train()
    assert network.training
    assert not any(m.training for m in batch_norms(network))
    assert all(m.weight.requires_grad for m in batch_norms(network))


@every_family
def test_checkpointing_changes_neither_outputs_nor_gradients(spec):
    torch.manual_seed(0)
    plain, checkpointed = build(spec, norm_eval=True), build(spec, norm_eval=True, with_cp=True)
    checkpointed.load_state_dict(plain.state_dict())
    gradients = []
    for network in (plain, checkpointed):
        sum(feature.square().mean() for feature in network.train()(IMAGE)).backward()
        gradients.append([p.grad for p in network.parameters()])
    for ours, expected in zip(*reversed(gradients)):
        torch.testing.assert_close(ours, expected)


HEADS = {
    "FCNHead": dict(in_index=-1, num_convs=1),
    "PSPHead": dict(in_index=-1, pool_scales=(1, 2)),
    "UPerHead": dict(in_index=[0, 1, 2, 3], pool_scales=(1, 2)),
}


@every_family
@pytest.mark.parametrize("head", sorted(HEADS))
def test_any_mmseg_head_trains_on_the_backbone(spec, head):
    if head == "UPerHead" and len(spec.taps) < 3:
        pytest.skip("the network has no maps at strides 4, 8 and 16")
    torch.manual_seed(0)
    widths = [*(tap.channels for tap in spec.taps), spec.channels]
    common = dict(
        channels=16, norm_cfg=dict(type="BN"), num_classes=5, align_corners=True, dropout_ratio=0
    )
    in_channels = widths if head == "UPerHead" else widths[-1]
    auxiliary = dict(
        type="FCNHead", in_channels=widths[-2:][0], in_index=max(len(widths) - 2, 0), num_convs=1,
        **common, loss_decode=dict(type="CrossEntropyLoss", loss_weight=0.4),
    )  # fmt: skip
    model = MODELS.build(
        dict(
            type="EncoderDecoder",
            backbone=spec.config(),
            decode_head=dict(type=head, in_channels=in_channels, **HEADS[head], **common),
            auxiliary_head=auxiliary,
        )
    )
    model.init_weights()
    labels = torch.randint(0, 5, (2, 1, 65, 97), generator=torch.Generator().manual_seed(1))
    samples = [SegDataSample(gt_sem_seg=PixelData(data=label)) for label in labels]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    totals = []
    for _ in range(3):
        losses = model.loss(IMAGE, samples)
        total = sum(loss for key, loss in losses.items() if "loss" in key)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    assert {"decode.loss_ce", "aux.loss_ce"} <= losses.keys()
    assert totals[-1] < totals[0]
    assert all(p.grad is not None for p in model.backbone.stem.parameters())
