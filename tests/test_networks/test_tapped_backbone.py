"""What holds for every backbone: outputs, freezing, checkpointing, and MMSegmentation's heads."""

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import nn

import mmseg_deeplab_ext

IMAGE = torch.randn(2, 3, 65, 97, generator=torch.Generator().manual_seed(0))
# Class: size, channels of the four feature maps, number of layers
BACKBONES = {
    "ResNetV1Beta": (dict(depth=18), [64, 128, 256, 512], 4),
    "MobileNetV2": (dict(widen_factor=0.5), [72, 96, 288, 160], 7),
}
every_backbone = pytest.mark.parametrize("name", sorted(BACKBONES))


def build(name, **arguments):
    return getattr(mmseg_deeplab_ext, name)(**{**BACKBONES[name][0], **arguments})


def batch_norms(module):
    return [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]


@every_backbone
def test_out_indices_choose_the_feature_maps(name):
    every, some = build(name).eval(), build(name, out_indices=(1, 3)).eval()
    some.load_state_dict(every.state_dict())
    with torch.no_grad():
        expected, chosen = every(IMAGE), some(IMAGE)
    assert [feature.shape[1] for feature in expected] == BACKBONES[name][1]
    assert len(chosen) == 2
    assert torch.equal(chosen[0], expected[1])
    assert torch.equal(chosen[1], expected[3])


@every_backbone
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(out_indices=3), r"out_indices=3 must be a list"),
        (dict(out_indices=(3, 0)), r"out_indices=\(3, 0\) must be ascending"),
        (dict(out_indices=(4,)), r"out_indices=\(4,\)"),
        (dict(output_stride=12), r"output_stride=12 is not supported: use one of .*8, 16, 32"),
        (dict(frozen_stages=9), r"frozen_stages=9 .*-1, 0, 1, 2, 3, 4"),
    ],
)
def test_an_impossible_argument_is_refused_with_the_allowed_values(name, arguments, message):
    with pytest.raises(mmseg_deeplab_ext.errors.ConfigError, match=message):
        build(name, **arguments)


@every_backbone
def test_other_norm_layers_are_built_as_configured(name):
    network = build(name, norm_cfg=dict(type="GN", num_groups=4))
    assert not batch_norms(network)
    assert any(isinstance(m, nn.GroupNorm) for m in network.modules())


@every_backbone
@pytest.mark.parametrize("stages", [-1, 0, 2, "all"])
def test_frozen_stages_neither_train_nor_update_their_statistics(name, stages):
    stages = BACKBONES[name][2] if stages == "all" else stages
    network = build(name, frozen_stages=stages).train()
    assert len(network.layer_names) == BACKBONES[name][2]
    for number, layer in enumerate(["stem", *network.layer_names]):
        module = getattr(network, layer)
        frozen = number <= stages
        assert all(p.requires_grad != frozen for p in module.parameters())
        assert all(m.training != frozen for m in batch_norms(module))


@every_backbone
def test_norm_eval_keeps_statistics_but_trains_gamma_and_beta(name):
    network = build(name, norm_eval=True).train()
    assert network.training
    assert not any(m.training for m in batch_norms(network))
    assert all(m.weight.requires_grad for m in batch_norms(network))


@every_backbone
def test_checkpointing_changes_neither_outputs_nor_gradients(name):
    torch.manual_seed(0)
    plain, checkpointed = build(name, norm_eval=True), build(name, norm_eval=True, with_cp=True)
    checkpointed.load_state_dict(plain.state_dict())
    gradients = []
    for network in (plain, checkpointed):
        sum(feature.square().mean() for feature in network.train()(IMAGE)).backward()
        gradients.append([p.grad for p in network.parameters()])
    for ours, expected in zip(*reversed(gradients)):
        torch.testing.assert_close(ours, expected)


HEADS = {
    "FCNHead": dict(in_index=3, num_convs=1),
    "PSPHead": dict(in_index=3, pool_scales=(1, 2)),
    "UPerHead": dict(in_index=[0, 1, 2, 3], pool_scales=(1, 2)),
}


@every_backbone
@pytest.mark.parametrize("head", sorted(HEADS))
def test_any_mmseg_head_trains_on_the_backbone(name, head):
    torch.manual_seed(0)
    arguments, widths, _ = BACKBONES[name]
    common = dict(
        channels=16, norm_cfg=dict(type="BN"), num_classes=5, align_corners=True, dropout_ratio=0
    )
    in_channels = widths if head == "UPerHead" else widths[3]
    auxiliary = dict(
        type="FCNHead", in_channels=widths[2], in_index=2, num_convs=1, **common,
        loss_decode=dict(type="CrossEntropyLoss", loss_weight=0.4),
    )  # fmt: skip
    model = MODELS.build(
        dict(
            type="EncoderDecoder",
            backbone=dict(type=f"mmseg_deeplab_ext.{name}", **arguments),
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
