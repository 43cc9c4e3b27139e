"""The networks of torchvision: equal in float64 to what torchvision computes, inside and out."""

import numpy as np
import pytest
import torch
from mmseg.models.utils import resize
from mmseg.registry import MODELS as MMSEG_MODELS

from mmseg_deeplab_ext.conversion.from_torchvision import plan_torchvision, segmentor_weights
from mmseg_deeplab_ext.conversion.torchvision_networks import NETWORKS
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.registry import MODELS
from tests.data.make_goldens import sample
from tests.support.golden_networks import without_random_weights
from tests.support.torchvision_goldens import (
    names_and_shapes,
    normalised_image,
    outputs_of,
    reference,
    state_dict,
)

PARTS = ("backbone", "decode_head", "auxiliary_head")
WITH_OUTPUTS = [network.name for network in NETWORKS if outputs_of(network.name)]


def build(network):
    """The parts of the converted segmentor, in float64."""
    weights = state_dict(network)
    plan = plan_torchvision(weights, source=network)
    model, weights = plan.cfg.model, segmentor_weights(weights, plan)
    with without_random_weights():
        parts = torch.nn.ModuleDict(
            {name: MODELS.build(model[name]) for name in PARTS if model[name] is not None}
        )
    missing, left_over = parts.load_state_dict(weights, strict=False)
    assert not left_over
    assert all(name.endswith("num_batches_tracked") for name in missing)
    return parts.eval().double()


@torch.no_grad()
def compute(parts, size):
    """All outputs of a converted segmentor by the references' names."""
    maps = parts["backbone"](normalised_image(*size))
    found = {f"layer{i + 1}": x[:, ::8] for i, x in enumerate(maps)}
    for name, logits, upsampled in (
        ("decode_head", "logits", "out"),
        ("auxiliary_head", "aux_logits", "aux"),
    ):
        if name in parts:
            found[logits] = parts[name](maps)
            align_corners = parts[name].align_corners
            full = resize(found[logits], size, mode="bilinear", align_corners=align_corners)
            found[upsampled] = full[:, :, ::4, ::4]
    return found


@pytest.mark.parametrize("network", WITH_OUTPUTS)
def test_a_converted_network_computes_what_torchvision_computes(network):
    parts = build(network)
    outputs = outputs_of(network)
    for size in sorted({output.partition("/")[0] for output in outputs}):
        found = compute(parts, tuple(map(int, size.split("x"))))
        for output in (output for output in outputs if output.startswith(size)):
            sampled, largest, full = reference(network, output)
            ours = found[output.partition("/")[2]].numpy()
            errors = [np.abs(sample(ours) - sampled).max()]
            if full is not None:
                errors.append(np.abs(ours - full).max())
            assert max(errors) <= 1e-9 * largest, output


def test_every_kind_of_network_has_reference_outputs():
    assert {name.partition("_")[0] for name in WITH_OUTPUTS} == {"fcn", "deeplabv3", "lraspp"}
    assert {name.partition("_")[2] for name in WITH_OUTPUTS} == {
        "resnet50",
        "mobilenet_v3_large",
    }


@pytest.fixture(scope="module")
def mobilenet():
    with without_random_weights():
        return MODELS.build(dict(type="mmseg_deeplab_ext.TorchvisionMobileNetV3")).eval()


def test_mmsegmentations_mobilenet_v3_is_another_network(mobilenet):
    theirs = MMSEG_MODELS.build(dict(type="mmseg.MobileNetV3", arch="large", out_indices=(4, 16)))
    theirs.eval()
    image = torch.zeros(1, 3, 64, 96)
    strides = [[64 // x.shape[2] for x in network(image)] for network in (mobilenet, theirs)]
    assert strides == [[8, 16], [8, 8]]


@pytest.mark.parametrize(
    ("network", "head"),
    [
        ("deeplabv3_resnet50", dict(type="mmseg.ASPPHead", in_channels=2048, channels=256)),
        (
            "lraspp_mobilenet_v3_large",
            dict(
                type="mmseg.LRASPPHead",
                in_channels=(16, 40, 960),
                channels=128,
                in_index=(0, 1, 2),
                input_transform="multiple_select",
            ),
        ),
    ],
)
def test_mmsegmentations_heads_of_these_names_have_no_place_for_the_weights(network, head):
    theirs = MMSEG_MODELS.build({**head, "num_classes": 21})
    shapes = [list(tensor.shape) for tensor in theirs.state_dict().values()]
    named = names_and_shapes()[network]
    assert any(s not in shapes for n, s in named.items() if n.startswith("classifier."))


def test_imagenet_weights_of_torchvision_load_into_the_backbone_by_prefix(tmp_path):
    weights = {
        name.replace("backbone.", "features."): tensor
        for name, tensor in state_dict("lraspp_mobilenet_v3_large").items()
        if name.startswith("backbone.")
    }
    weights["classifier.0.weight"] = torch.zeros(1280, 960)
    torch.save(weights, tmp_path / "mobilenet_v3_large.pth")
    init_cfg = dict(
        type="Pretrained", checkpoint=str(tmp_path / "mobilenet_v3_large.pth"), prefix="features."
    )
    backbone = MODELS.build(
        dict(type="mmseg_deeplab_ext.TorchvisionMobileNetV3", init_cfg=init_cfg)
    )
    backbone.init_weights()
    for name, tensor in backbone.state_dict().items():
        assert torch.equal(tensor, weights[f"features.{name}"]), name


def test_the_backbones_batch_norms_have_torchvisions_constants(mobilenet):
    norms = [m for m in mobilenet.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert {(norm.momentum, norm.eps) for norm in norms} == {(0.01, 1e-3)}


@pytest.mark.parametrize("out_indices", [(17,), (-1,)])
def test_a_layer_that_does_not_exist_is_refused(out_indices):
    with pytest.raises(ConfigError, match="layers from 0 to 16"):
        MODELS.build(dict(type="mmseg_deeplab_ext.TorchvisionMobileNetV3", out_indices=out_indices))


def test_the_deeplab_head_drops_single_elements_after_the_projection_and_none_before_the_logits():
    head = MODELS.build(
        dict(
            type="mmseg_deeplab_ext.TorchvisionDeepLabV3Head",
            in_channels=8,
            channels=4,
            num_classes=3,
        )
    )
    assert head.dropout is None
    assert (type(head.aspp.dropout), head.aspp.dropout.p) == (torch.nn.Dropout, 0.5)
    with pytest.raises(ConfigError, match="must start with 1"):
        MODELS.build(
            dict(
                type="mmseg_deeplab_ext.TorchvisionDeepLabV3Head",
                in_channels=8,
                channels=4,
                num_classes=3,
                dilations=(12, 24, 36),
            )
        )
