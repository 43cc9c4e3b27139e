"""The ResNet backbones; what all backbones have in common is in test_every_backbone.py."""

import pytest
import torch
from torch import nn

from mmseg_deeplab_ext.backbones import ResNetV1, ResNetV1Beta
from mmseg_deeplab_ext.conversion.to_tensorflow import to_tensorflow
from mmseg_deeplab_ext.errors import CheckpointMismatchError, ConfigError
from mmseg_deeplab_ext.layers import max_pool_3x3_stride_2_same
from mmseg_deeplab_ext.specs import ResNetV1BetaSpec

IMAGE = torch.randn(2, 3, 65, 97, generator=torch.Generator().manual_seed(0))


def batch_norms(module):
    return [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(depth=34), r"depth=34 .*18, 50, 101"),
        (dict(depth=50, multi_grid=(1, 2)), r"multi_grid=\(1, 2\) has 2 entries.*3 units"),
        (dict(depth=18, multi_grid=(1, 0)), r"multi_grid=\(1, 0\) must be a list of whole numbers"),
        (dict(depth=18, multi_grid=2), r"multi_grid=2 must be a list"),
        (dict(depth=18, multi_grid=()), r"multi_grid=\(\) must be a list"),
        (dict(depth=18.0), r"depth=18.0 is not supported"),
    ],
)
def test_an_impossible_argument_is_refused_with_the_allowed_values(arguments, message):
    with pytest.raises(ConfigError, match=message):
        ResNetV1Beta(**arguments)


@pytest.mark.parametrize(("depth", "widths"), [(18, [64, 128, 256]), (50, [256, 512, 1024])])
def test_the_taps_are_those_of_the_official_code(depth, widths):
    spec = ResNetV1BetaSpec(depth)
    assert [(tap.stride, tap.channels) for tap in spec.taps] == list(zip((4, 8, 16), widths))
    assert [tap.end_point for tap in spec.taps] == {
        18: [f"resnet_v1_18/block{b}/unit_1/lite_bottleneck_v1/conv2" for b in (1, 2, 3)],
        50: [
            f"resnet_v1_50/block{b}/unit_{u}/bottleneck_v1/conv3"
            for b, u in ((1, 2), (2, 3), (3, 5))
        ],
    }[depth]
    assert spec.output_strides == (4, 8, 16, 32)


def test_taps_are_taken_before_the_relu_and_the_final_map_after_it():
    features = ResNetV1Beta(18).eval()(IMAGE)
    assert all((feature < 0).any() for feature in features[:3])
    assert (features[3] >= 0).all()


@pytest.mark.parametrize("size", [(6, 9), (7, 8), (9, 9), (8, 8)])
def test_the_pool_pads_as_tensorflow_does_on_odd_and_even_sizes(size):
    x = torch.randn(1, 2, *size)
    # TensorFlow's rule: as much padding as the last window needs, the odd pixel at the end.
    pads = [max((-(-n // 2) - 1) * 2 + 3 - n, 0) for n in size]
    (top, bottom), (left, right) = ((pad // 2, pad - pad // 2) for pad in pads)
    padded = nn.functional.pad(x, (left, right, top, bottom), value=float("-inf"))
    assert torch.equal(max_pool_3x3_stride_2_same(x), nn.functional.max_pool2d(padded, 3, 2))


def test_pytorchs_symmetric_pool_would_differ_on_even_sizes():
    x = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert not torch.equal(max_pool_3x3_stride_2_same(x), nn.functional.max_pool2d(x, 3, 2, 1))


def test_batch_norms_have_tensorflows_constants_unless_the_config_states_others():
    assert {(m.momentum, m.eps) for m in batch_norms(ResNetV1(18))} == {(0.05, 1.001e-5)}
    stated = ResNetV1(18, norm_cfg=dict(type="BN", momentum=0.1, eps=1e-3))
    assert {(m.momentum, m.eps) for m in batch_norms(stated)} == {(0.1, 1e-3)}


def test_convolutions_start_with_he_initialisation():
    network = ResNetV1Beta(50)
    network.init_weights()
    for name in ("stem.1.conv", "layer2.1.conv2", "layer4.0.downsample.0"):
        weight = network.get_submodule(name).weight
        fan_in = weight[0].numel()
        assert weight.std().item() == pytest.approx((2 / fan_in) ** 0.5, rel=0.05)


def cascade_of(**arguments):
    """ResNet-18-beta up to block 7, in float64, with weights that do not explode."""
    network = ResNetV1Beta(18, cascade=3, multi_grid=(1, 2), **arguments).double().eval()
    for module in batch_norms(network):
        module.running_var.fill_(2.0)
    return network


def test_the_blocks_of_a_cascade_have_block_4s_units_and_a_stride_in_all_but_the_last():
    plain, spec = ResNetV1BetaSpec(101), ResNetV1BetaSpec(101, cascade=3)
    assert [len(block) for block in spec.blocks] == [3, 4, 23, 3, 3, 3, 3]
    strides = [[unit.stride for unit in block] for block in spec.blocks[3:]]
    assert strides == [[1, 1, 2], [1, 1, 2], [1, 1, 2], [1, 1, 1]]
    assert all(block == (plain.blocks[3][1],) * 2 + block[2:] for block in spec.blocks[4:])
    assert (spec.taps, spec.channels) == (plain.taps, plain.channels)


@pytest.mark.parametrize(
    ("output_stride", "rates"),
    [
        (8, (4, 8, 16, 32)),
        (16, (2, 4, 8, 16)),
        (32, (1, 2, 4, 8)),
        (64, (1, 1, 2, 4)),
        (128, (1, 1, 1, 2)),
        (256, (1, 1, 1, 1)),
    ],
)
def test_the_rates_of_a_cascade_double_from_block_to_block_and_each_takes_the_multi_grid(
    output_stride, rates
):
    with torch.device("meta"):
        network = ResNetV1(
            50, cascade=3, output_stride=output_stride, multi_grid=(1, 2, 1), out_indices=(3,)
        )
    for number, rate in enumerate(rates, start=4):
        dilations = [unit.conv2.dilation[0] for unit in getattr(network, f"layer{number}")]
        assert dilations == [rate, 2 * rate, rate]
    assert network(torch.empty(1, 3, 257, 513, device="meta"))[0].shape[2:] == (
        256 // output_stride + 1,
        512 // output_stride + 1,
    )


@pytest.fixture(scope="module")
def nominal_cascade():
    """A cascade without dilations, an image of 256 k + 1 pixels, and the final map."""
    torch.manual_seed(0)
    network = cascade_of(output_stride=256, out_indices=(3,))
    image = torch.randn(1, 3, 257, 257, dtype=torch.float64)
    with torch.no_grad():
        return network, image, network(image)[0]


@pytest.mark.parametrize("output_stride", [8, 16, 32, 64, 128])
def test_the_dense_cascade_subsampled_equals_the_nominal_one(nominal_cascade, output_stride):
    nominal, image, expected = nominal_cascade
    dense = cascade_of(output_stride=output_stride, out_indices=(3,))
    dense.load_state_dict(nominal.state_dict())
    factor = 256 // output_stride
    with torch.no_grad():
        subsampled = dense(image)[0][..., ::factor, ::factor]
    assert subsampled.shape == expected.shape == (1, 512, 2, 2)
    assert (subsampled - expected).abs().max() / expected.abs().max() < 1e-12


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(cascade=4), "cascade=4 is not supported: use one of 0, 1, 2, 3$"),
        (dict(cascade=True), "cascade=True is not supported"),
        (dict(cascade=1, output_stride=128), "output_stride=128 .* 4, 8, 16, 32, 64$"),
        (dict(cascade=1, frozen_stages=6), "frozen_stages=6 .* 4, 5$"),
    ],
)
def test_an_impossible_cascade_is_refused_with_the_allowed_values(arguments, message):
    with pytest.raises(ConfigError, match=message):
        ResNetV1Beta(18, **arguments)


@pytest.mark.parametrize("depth", [18, 50])
def test_weights_that_end_with_block_4_start_its_copies(depth):
    weights = ResNetV1Beta(depth).state_dict()
    network = ResNetV1Beta(depth, cascade=2)
    network.load_state_dict(weights, strict=True)
    for number in range(len(network.layer4)):
        source = network.layer4[max(number, 1)].state_dict()  # the first one widens its input
        for copied in (network.layer5[number], network.layer6[number]):
            assert copied.state_dict().keys() == source.keys()
            assert all(torch.equal(v, source[name]) for name, v in copied.state_dict().items())
    assert network.layer5[0].conv1.weight.data_ptr() != network.layer6[0].conv1.weight.data_ptr()


def test_blocks_that_the_weights_have_are_no_copies():
    trained = ResNetV1Beta(18, cascade=1)
    network = ResNetV1Beta(18, cascade=2)
    network.load_state_dict(trained.state_dict(), strict=True)
    assert torch.equal(network.layer5[1].conv1.weight, trained.layer5[1].conv1.weight)
    assert torch.equal(network.layer6[1].conv1.weight, trained.layer4[1].conv1.weight)


def test_a_whole_segmentor_gets_no_copies_so_that_an_evaluation_can_tell_what_is_missing():
    model = nn.ModuleDict({"backbone": ResNetV1Beta(18, cascade=1)})
    plain = nn.ModuleDict({"backbone": ResNetV1Beta(18)})
    assert all("layer5" in name for name in model.load_state_dict(plain.state_dict(), False)[0])
    with pytest.raises(RuntimeError, match="Missing key.*layer5"):
        model.load_state_dict(plain.state_dict())


def test_a_cascade_has_no_variables_of_tensorflows_and_says_so():
    network = ResNetV1Beta(18, cascade=3)
    with pytest.raises(
        CheckpointMismatchError, match="ResNet-18-beta with blocks 5 to 7 in cascade"
    ):
        to_tensorflow(network, network.state_dict())
