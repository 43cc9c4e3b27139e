"""Any classifier as a backbone: its maps, weights, frozen parts and refusals; the command."""

from __future__ import annotations

import copy

import pytest
import torch
from mmseg.registry import MODELS
from mmseg.utils import register_all_modules
from torch import nn

from mmseg_deeplab_ext.__main__ import main
from mmseg_deeplab_ext.errors import ConfigError
from tests.support.dense_proof import SIZE

register_all_modules()
MOBILE = dict(type="MobileNetV2", widen_factor=0.25)
IMAGE = torch.randn(2, 3, 65, 97, generator=torch.Generator().manual_seed(0))


def build(network, **arguments):
    torch.manual_seed(0)
    common = dict(type="mmseg_deeplab_ext.AtrousBackbone", image_size=list(SIZE))
    return MODELS.build({**common, "network": network, **arguments})


def classifier(width=8):
    """A VGG with a classifier, as any user might write one."""
    layers, inputs = [], 3
    for _ in range(5):
        layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        inputs = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))


BY_PATH = f"{__name__}.classifier"


def gradients(backbone):
    sum(each.square().mean() for each in backbone(IMAGE)).backward()
    return {name: each.grad for name, each in backbone.named_parameters()}


def test_the_maps_are_the_last_ones_of_their_strides():
    backbone = build(MOBILE, output_stride=8)
    assert [(point.stride, point.name) for point in backbone.end_points] == [
        (4, "layer2"), (8, "layer3"), (16, "layer5"), (32, "layer7")
    ]  # fmt: skip
    shapes = [tuple(each.shape) for each in backbone(IMAGE)]
    assert shapes == [(2, c, *s) for c, s in zip(backbone.channels, [(17, 25)] + [(9, 13)] * 3)]


def test_a_map_at_stride_2_comes_on_request_and_so_does_another_modules_output():
    backbone = build(MOBILE, out_strides=(2, 4, 32), end_points={4: "layer3.0.conv.0"})
    shapes = [tuple(each.shape[1:]) for each in backbone(IMAGE)]
    assert shapes == [(8, 33, 49), (48, 17, 25), (80, 5, 7)]


def test_its_maps_are_those_that_the_network_computes_inside():
    backbone, nominal = build(MOBILE, output_stride=16), MODELS.build(MOBILE)
    nominal.load_state_dict(backbone.network.state_dict())
    nominal.eval()
    backbone.eval()
    with torch.no_grad():
        ours, expected = backbone(IMAGE), nominal(IMAGE)  # stages 1, 2, 4 and 6
    for dense, each, step in zip(ours, expected, (1, 1, 1, 2)):
        torch.testing.assert_close(dense[..., ::step, ::step], each)


def test_every_weight_is_used_and_those_after_the_last_map_are_gone():
    for network in (BY_PATH, MOBILE):
        backbone = build(network, out_strides=(4, 16))
        assert all(each is not None for each in gradients(backbone).values())
    assert isinstance(build(BY_PATH).network[-1], nn.Identity)


class Holder(nn.Sequential):
    """Holds a module that may have other places, too."""


def sharing():
    """A convolution in two units, and the weights of one in another."""
    shared, one, other = (nn.Conv2d(8, 8, 3, padding=1) for _ in range(3))
    other.weight = one.weight
    stem = nn.Conv2d(3, 8, 3, stride=4, padding=1)
    return nn.Sequential(stem, Holder(shared), Holder(shared), one, other, nn.Conv2d(8, 8, 3, 2))


def test_shared_weights_are_used_in_all_their_places():
    backbone = build(f"{__name__}.sharing", output_stride=4, out_strides=(4,)).eval()
    kept = [type(each).__name__ for each in backbone.network]
    assert kept == ["Conv2d", "Holder", "Holder", "Conv2d", "Conv2d", "Identity"]


def normed():
    """Ends at batch norms, one of which holds an activation, as timm's do."""
    holds = nn.BatchNorm2d(8)
    holds.act = nn.ReLU()
    convs = (nn.Conv2d(inputs, 8, 3, stride=2, padding=1) for inputs in (3, 8))
    return nn.Sequential(next(convs), holds, next(convs), nn.BatchNorm2d(8))


def test_a_batch_norm_that_holds_modules_is_frozen_too():
    backbone = build(f"{__name__}.normed", output_stride=4, frozen_stages=0).train()
    assert [backbone.network[i].training for i in (1, 3)] == [False, True]


def test_maps_come_from_batch_norms_that_were_replaced_by_synchronised_ones():
    backbone = build(f"{__name__}.normed", output_stride=4, out_strides=(2, 4)).eval()
    expected = backbone(IMAGE)
    synchronised = nn.SyncBatchNorm.convert_sync_batchnorm(backbone).eval()
    assert isinstance(synchronised.network[3], nn.SyncBatchNorm)
    torch.testing.assert_close(synchronised(IMAGE), expected)


def test_more_may_be_frozen_than_there_is():
    backbone = build(MOBILE, out_strides=(4,), frozen_stages=4).train()
    assert not any(each.requires_grad for each in backbone.parameters())


def test_a_copy_returns_its_own_maps():
    backbone = build(BY_PATH).eval()
    copied = copy.deepcopy(backbone)
    with torch.no_grad():
        expected = backbone(IMAGE)
        copied.network[0].weight.zero_()
        assert not torch.equal(copied(IMAGE)[0], expected[0])
        assert torch.equal(backbone(IMAGE)[0], expected[0])


@pytest.mark.parametrize(("stages", "frozen"), [(-1, ""), (0, "01"), (1, "012"), (4, "01234567")])
def test_frozen_stages_neither_train_nor_update_their_statistics(stages, frozen):
    backbone = build(MOBILE, frozen_stages=stages).train()
    parts = [backbone.network.conv1, *(getattr(backbone.network, f"layer{i}") for i in range(1, 8))]
    for number, part in enumerate(parts):
        norms = [each for each in part.modules() if isinstance(each, nn.BatchNorm2d)]
        assert all(each.training != (str(number) in frozen) for each in norms)
        assert all(each.requires_grad != (str(number) in frozen) for each in part.parameters())


def test_norm_eval_keeps_statistics_but_trains_gamma_and_beta():
    backbone = build(MOBILE, norm_eval=True).train()
    norms = [each for each in backbone.modules() if isinstance(each, nn.BatchNorm2d)]
    assert not any(each.training for each in norms)
    assert all(each.weight.requires_grad for each in norms)


def test_recomputing_changes_no_gradient_and_a_network_without_means_of_it_is_an_error():
    plain, recomputed = (build(MOBILE, norm_eval=True, with_cp=each) for each in (False, True))
    recomputed.load_state_dict(plain.state_dict())
    assert all(each.with_cp for each in recomputed.network.layer2)
    expected = gradients(plain.train())
    for name, gradient in gradients(recomputed.train()).items():
        torch.testing.assert_close(gradient, expected[name])
    tapped = build(MOBILE, with_cp=True, end_points={4: "layer3.0.conv.0"})
    assert [each.with_cp for each in tapped.network.layer3] == [False, True, True]
    with pytest.raises(ConfigError, match="with_cp: Sequential has no means"):
        build(BY_PATH, with_cp=True)


def test_init_cfg_loads_the_networks_own_weights(tmp_path):
    torch.manual_seed(1)
    saved = classifier()
    torch.save(saved.state_dict(), tmp_path / "network.pth")
    init_cfg = dict(type="Pretrained", checkpoint=str(tmp_path / "network.pth"))
    backbone = build(BY_PATH, init_cfg=init_cfg)
    backbone.init_weights()
    assert torch.equal(backbone.network[12].weight, saved[12].weight)


def test_without_init_cfg_a_config_initialises_its_network_and_a_constructor_has_done_so():
    for network, drawn_anew in ((BY_PATH, False), (MOBILE, True)):
        backbone = build(network)
        before = copy.deepcopy(backbone.state_dict())
        backbone.init_weights()
        same = [torch.equal(before[name], each) for name, each in backbone.state_dict().items()]
        assert all(same) != drawn_anew


@pytest.mark.parametrize(
    ("network", "arguments", "message"),
    [
        (MOBILE, dict(output_stride=64), "output_stride=64: .*strides 2, 4, 8, 16, 32"),
        (MOBILE, dict(out_strides=(4, 64)), r"out_strides=\(4, 64\) .*: 2, 4, 8, 16, 32"),
        (MOBILE, dict(image_size=65), "image_size=65 must be 2 whole numbers"),
        (MOBILE, dict(out_strides=4), "out_strides=4 must be a list"),
        (MOBILE, dict(frozen_stages=5), "frozen_stages=5 .*-1, 0, 1, 2, 3, 4"),
        (MOBILE, dict(end_points={4: "layer9"}), "'layer9' is no module .*stride 4; .*layer2"),
        (MOBILE, dict(arguments=dict(out_indices=(1,))), "write them into the config"),
        (5, {}, "network=5 must be 'timm/NAME'"),
        ("resnet50", {}, "network='resnet50' must be 'timm/NAME'"),
        ("tests.absent.network", {}, "network='tests.absent.network': No module"),
        ("builtins.dict", {}, "network='builtins.dict' returned dict"),
        ("math.pi", {}, "network='math.pi': 'float' object is not callable"),
        ("torch.nn.Linear", {}, "network='torch.nn.Linear': .* missing 2 required"),
        (".network", {}, "network='.network' must be 'timm/NAME'"),
    ],
    ids=str,
)
def test_an_impossible_argument_is_refused_with_what_is_possible(network, arguments, message):
    with pytest.raises(ConfigError, match=message):
        build(network, **arguments)


CONFIG = f"""model = dict(backbone=dict({", ".join(f"{k}={v!r}" for k, v in MOBILE.items())}))\n"""


def test_the_command_shows_what_changes_and_proves_it(tmp_path, capsys):
    config = tmp_path / "config.py"
    config.write_text(CONFIG)
    arguments = ["--output-stride", "8", "--image-size", *map(str, SIZE), "--verify"]
    assert main(["atrous", str(config), *arguments]) == 0
    said = capsys.readouterr().out
    assert "layer4.0.conv.1.conv (Conv2d): stride 2 -> 1, dilation 1" in said
    assert "layer7.0.conv.1.conv (Conv2d): stride 1 -> 1, dilation 4" in said
    assert "stride 4: 8 channels, layer2\n" in said
    assert "stride 32, now 8: 80 channels, layer7\n" in said
    assert "Weights: the same tensors" in said
    assert said.endswith("Proved: no difference above 1e-09 of the largest value.\n")


def test_the_command_ends_with_1_where_a_network_can_t_be_made_dense(tmp_path, capsys):
    assert main(["atrous", BY_PATH, "--output-stride", "64"]) == 1
    assert capsys.readouterr().err.startswith("error: output_stride=64")
    assert main(["atrous", str(tmp_path / "absent.py"), "--output-stride", "8"]) == 1
    assert "there is no config file" in capsys.readouterr().err
    (tmp_path / "config.py").write_text("model = dict(backbone=dict(type='Absent'))")
    assert main(["atrous", str(tmp_path / "config.py"), "--output-stride", "8"]) == 1
    assert "config.py can't be built: KeyError: 'Absent is not in" in capsys.readouterr().err
