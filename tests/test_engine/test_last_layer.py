"""The multiplier of the last layers, on top of MMEngine's parameter-wise options."""

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmseg.registry import MODELS
from mmseg.utils import register_all_modules

from mmseg_deeplab_ext.errors import ConfigError

register_all_modules()
OFFICIAL = dict(norm_decay_mult=0.0, bias_decay_mult=0.0, dwconv_decay_mult=0.0, bias_lr_mult=2.0)


@pytest.fixture(scope="module")
def model():
    return MODELS.build(
        dict(
            type="EncoderDecoder",
            backbone=dict(type="mmseg_deeplab_ext.ResNetV1Beta", depth=18, frozen_stages=0),
            decode_head=dict(
                type="mmseg_deeplab_ext.DeepLabV3PlusHead",
                in_channels=512,
                channels=8,
                c1_in_channels=64,
                num_classes=3,
            ),
        )
    )


def groups(model, **paramwise):
    """Rate and weight decay of every trained parameter, in terms of the base values."""
    wrapper = dict(
        type="OptimWrapper",
        constructor="mmseg_deeplab_ext.LastLayerOptimWrapperConstructor",
        optimizer=dict(type="SGD", lr=0.5, momentum=0.9, weight_decay=0.25),
        paramwise_cfg=paramwise,
    )
    optimizer = build_optim_wrapper(model, wrapper).optimizer
    of_parameter = {id(g["params"][0]): g for g in optimizer.param_groups}
    return {
        name: (of_parameter[id(p)]["lr"] / 0.5, of_parameter[id(p)]["weight_decay"] / 0.25)
        for name, p in model.named_parameters()
        if id(p) in of_parameter
    }


def test_the_whole_head_trains_at_the_multiple_and_keeps_its_weight_decay(model):
    plain = groups(model, **OFFICIAL)
    multiplied = groups(model, **OFFICIAL, last_layer_gradient_multiplier=10)
    assert plain.keys() == multiplied.keys()
    for name, (rate, decay) in plain.items():
        factor = 10 if name.startswith("decode_head.") else 1
        assert multiplied[name] == (rate * factor, decay), name
    assert multiplied["decode_head.conv_seg.bias"] == (20, 0)
    assert multiplied["decode_head.conv_seg.weight"] == (10, 1)
    assert multiplied["decode_head.aspp.branches.1.depthwise_conv.conv.weight"] == (10, 0)


def test_only_the_logits_train_at_the_multiple_if_asked(model):
    multiplied = groups(
        model, **OFFICIAL, last_layer_gradient_multiplier=10, last_layers_contain_logits_only=True
    )
    last = {name for name, (rate, _) in multiplied.items() if rate > 2}
    assert last == {"decode_head.conv_seg.weight", "decode_head.conv_seg.bias"}


def test_a_decoder_whose_output_is_the_logits_is_the_last_layer():
    head = dict(
        type="mmseg_deeplab_ext.DeepLabV3PlusHead",
        in_channels=512,
        channels=3,
        aspp_channels=8,
        c1_in_channels=64,
        num_classes=3,
        decoder_sum_merge=True,
        decoder_logits=True,
    )
    backbone = dict(type="mmseg_deeplab_ext.ResNetV1Beta", depth=18)
    model = MODELS.build(dict(type="EncoderDecoder", backbone=backbone, decode_head=head))
    multiplied = groups(
        model, **OFFICIAL, last_layer_gradient_multiplier=10, last_layers_contain_logits_only=True
    )
    assert {name: rates for name, rates in multiplied.items() if rates[0] > 2} == {
        f"decode_head.decoder.0.{layer}.{kind}": rates
        for layer in ("projection", "convs.0")
        for kind, rates in (("weight", (10, 1)), ("bias", (20, 0)))
    }


def test_custom_keys_of_mmengine_are_multiplied_too(model):
    found = groups(
        model,
        last_layer_gradient_multiplier=10,
        custom_keys={"decode_head.aspp": dict(lr_mult=0.5), "backbone": dict(lr_mult=0.1)},
    )
    assert found["decode_head.aspp.projection.conv.weight"][0] == 5
    assert found["backbone.layer1.0.conv1.weight"][0] == pytest.approx(0.1)


def test_multiplying_the_rate_is_multiplying_the_gradient_for_sgd_with_momentum():
    generator = torch.Generator().manual_seed(0)
    gradients = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    rates = (0.1, 0.07, 0.05, 0.02, 0.01)
    ours = torch.ones(3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([ours], lr=1, momentum=0.9, weight_decay=0.3)
    variable, accumulated = torch.ones(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    for gradient, rate in zip(gradients, rates):
        optimizer.param_groups[0]["lr"] = 10 * rate
        ours.grad = gradient.clone()
        optimizer.step()
        # TensorFlow's MomentumOptimizer on the multiplied gradient, weight decay included.
        accumulated = 0.9 * accumulated + 10 * (gradient + 0.3 * variable)
        variable = variable - rate * accumulated
    torch.testing.assert_close(ours.detach(), variable, rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("paramwise", "message"),
    [
        (dict(last_layer_gradient_multiplier=0), "=0 must be a number above 0"),
        (dict(last_layer_gradient_multiplier="10"), "='10' must be a number"),
        (dict(last_layers_contain_logits_only=1), "=1 must be True or False"),
    ],
)
def test_an_impossible_value_is_refused(model, paramwise, message):
    with pytest.raises(ConfigError, match=message):
        groups(model, **paramwise)


def test_a_model_without_a_decode_head_is_refused():
    with pytest.raises(ConfigError, match="no trained parameter decode_head"):
        groups(torch.nn.Linear(2, 2), last_layer_gradient_multiplier=10)
