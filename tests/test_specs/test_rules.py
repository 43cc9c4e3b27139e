"""Rules of the layers that official networks are made of; needs no PyTorch."""

import numpy as np
import pytest

from mmseg_deeplab_ext.specs.rule import Rule, conv_rules, depthwise_rules, separable_module_rules

BATCH_NORM = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def names(rules):
    return {rule.tf_name: rule.torch_name for rule in rules}


def test_slims_batch_norm_is_in_the_scope_of_its_convolution():
    rules = list(conv_rules("net/conv", "conv", shape=(3, 3, 8, 16), norm="bn"))
    assert names(rules) == {
        "net/conv/weights": "conv.weight",
        **{f"net/conv/BatchNorm/{ours}": f"bn.{theirs}" for ours, theirs in BATCH_NORM.items()},
    }
    assert {rule.shape for rule in rules[1:]} == {(16,)}


def test_a_batch_norm_can_have_a_scope_of_its_own():
    rules = conv_rules(
        "net/conv0", "conv", shape=(3, 3, 3, 4), norm="bn", norm_scope="net/conv0_bn"
    )
    assert "net/conv0_bn/gamma" in names(rules)


def test_a_convolution_can_have_a_bias_and_no_batch_norm():
    rules = list(conv_rules("se/Conv", "se.0", shape=(1, 1, 72, 24), bias=True))
    assert names(rules) == {"se/Conv/weights": "se.0.weight", "se/Conv/biases": "se.0.bias"}
    assert rules[1].shape == (24,)


@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_a_depthwise_kernel_has_any_size_and_comes_back_bit_for_bit(kernel):
    (rule,) = depthwise_rules("net/depthwise", "depthwise", channels=6, kernel=kernel)
    assert rule.shape == (kernel, kernel, 6, 1)
    value = np.random.default_rng(0).normal(size=rule.shape).astype(np.float32)
    ours = rule.to_torch(value)
    assert ours.shape == (6, 1, kernel, kernel)
    assert np.array_equal(ours[4, 0], value[:, :, 4, 0])
    assert np.array_equal(rule.to_tf(ours), value)


def test_the_halves_of_a_separable_convolution_have_a_batch_norm_each():
    found = names(separable_module_rules("aspp1", "branch", shape=(3, 3, 32, 8)))
    assert found["aspp1_depthwise/depthwise_weights"] == "branch.depthwise_conv.conv.weight"
    assert found["aspp1_pointwise/weights"] == "branch.pointwise_conv.conv.weight"
    assert found["aspp1_depthwise/BatchNorm/gamma"] == "branch.depthwise_conv.bn.weight"
    assert found["aspp1_pointwise/BatchNorm/gamma"] == "branch.pointwise_conv.bn.weight"


def test_a_dense_kernel_is_turned_from_hwio_to_oihw_and_back():
    rule = Rule("weights", "weight", (3, 3, 2, 5), "conv")
    value = np.arange(90, dtype=np.float32).reshape(rule.shape)
    assert rule.to_torch(value)[4, 1, 2, 0] == value[2, 0, 1, 4]
    assert np.array_equal(rule.to_tf(rule.to_torch(value)), value)
