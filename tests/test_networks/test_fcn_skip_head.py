"""FCN-32s, 16s and 8s: skips, upsamplings, crops, and what the finer networks start from."""

import re

import pytest
import torch
from torch.nn import functional as F

from mmseg_deeplab_ext.backbones import VGG16
from mmseg_deeplab_ext.decode_heads import FCNSkipHead
from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.layers.transposed_upsampling import TransposedUpsampling

WIDTHS = {32: (8,), 16: (6, 8), 8: (4, 6, 8)}
UPSAMPLINGS = ("interpolation", "frozen", "trained")


def head_of(stride=8, *, random=True, **arguments):
    """A head on narrow maps; with random scores, or with the zeros that a training starts at."""
    head = FCNSkipHead(WIDTHS[stride], num_classes=3, **arguments)
    head.init_weights()
    if random:
        torch.manual_seed(0)
        for score in (head.conv_seg, *head.skip_scores):
            torch.nn.init.normal_(score.weight)
    return head.eval()


def maps(stride, height=64, width=96):
    """Maps of an image, from fine to coarse, sizes rounded down as VGG16's pools do."""
    torch.manual_seed(1)
    strides = [each for each in (8, 16, 32) if each >= stride]
    return [
        torch.randn(2, channels, height // each, width // each)
        for channels, each in zip(WIDTHS[stride], strides)
    ]


def interpolated(x, factor):
    return F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("factor", [2, 8, 16, 32])
def test_bilinear_transposed_convolutions_equal_the_interpolation_inside_half_a_factor(
    factor, trained
):
    torch.manual_seed(0)
    x = torch.rand(1, 3, 4, 5) + 1
    half = factor // 2
    with torch.no_grad():
        upsampled = TransposedUpsampling(3, factor, trained=trained)(x)
    assert upsampled.shape == (1, 3, 5 * factor, 6 * factor)
    cropped, expected = upsampled[..., half:-half, half:-half], interpolated(x, factor)
    inside = (..., slice(half, -half), slice(half, -half))
    torch.testing.assert_close(cropped[inside], expected[inside])
    # Outside it fades.
    assert (cropped[..., 0, :] < expected[..., 0, :]).all()
    assert (cropped[..., -1] < expected[..., -1]).all()


def test_fcn_32s_is_the_scores_of_the_coarsest_map():
    head, (fc7,) = head_of(32), maps(32)
    with torch.no_grad():
        assert torch.equal(head([fc7]), head.conv_seg(fc7))


@pytest.mark.parametrize("upsampling", UPSAMPLINGS)
def test_each_finer_map_adds_its_scaled_scores_after_a_twofold_upsampling(upsampling):
    head = head_of(upsampling=upsampling, skip_scales=(0.0001, 0.01))
    pool3, pool4, fc7 = maps(8)

    def upsampled(x):
        if upsampling == "interpolation":
            return interpolated(x, 2)
        kernel = torch.tensor([0.25, 0.75, 0.75, 0.25])
        weight = (kernel[:, None] * kernel).repeat(3, 1, 1, 1)
        return F.conv_transpose2d(x, weight, stride=2, padding=1, groups=3)

    with torch.no_grad():
        scores = upsampled(head.conv_seg(fc7)) + head.skip_scores[0](0.01 * pool4)
        scores = upsampled(scores) + head.skip_scores[1](0.0001 * pool3)
        torch.testing.assert_close(head([pool3, pool4, fc7]), scores)


@pytest.mark.parametrize("upsampling", UPSAMPLINGS)
@pytest.mark.parametrize("size", [(80, 96), (111, 47)])
def test_maps_of_odd_size_keep_their_size(upsampling, size):
    pool3, *others = maps(8, *size)
    with torch.no_grad():
        logits = head_of(upsampling=upsampling)([pool3, *others])
    assert logits.shape[-2:] == pool3.shape[-2:]


@pytest.mark.parametrize(
    ("upsampling", "stride", "crops"),
    # Caffe's crop layer computes these for voc-fcn32s, 16s and 8s.
    [
        ("frozen", 32, ([], 19)),
        ("frozen", 16, ([5], 27)),
        ("frozen", 8, ([5, 9], 31)),
        ("trained", 8, ([5, 9], 31)),
        ("interpolation", 8, ([6, 12], 3)),
    ],
)
def test_the_papers_padding_is_cropped_as_in_the_paper(upsampling, stride, crops):
    head = head_of(stride, padding=100, upsampling=upsampling)
    assert (head.skip_crops, head.last_crop) == crops


@pytest.mark.parametrize("size", [(1, 1), (7, 40), (65, 33)])
def test_with_the_papers_padding_the_logits_have_the_images_size_whatever_it_is(size):
    with torch.no_grad():
        outputs = VGG16(padding=100, fc_channels=4).eval()(torch.zeros(1, 3, *size))
        for upsampling in UPSAMPLINGS:
            head = FCNSkipHead((256, 512, 4), num_classes=3, padding=100, upsampling=upsampling)
            assert head(outputs).shape == (1, 3, *size)


def test_cropped_maps_lie_over_the_image_they_were_made_of():
    # A backbone of strides and offsets alone: each cell holds the column of its centre.
    def columns(begin, stride, count):
        return (begin + stride * (torch.arange(count) + 0.5)).expand(1, 1, count, count)

    image = torch.zeros(1, 3, 60, 60)
    pool3, pool4, fc7 = columns(-99, 8, 33), columns(-99, 16, 17), columns(-3, 32, 3)
    for upsampling in ("interpolation", "frozen"):
        head = FCNSkipHead((1, 1, 1), num_classes=3, padding=100, upsampling=upsampling)
        for score in (head.conv_seg, *head.skip_scores):
            torch.nn.init.constant_(score.weight, 1 / 3)
            torch.nn.init.zeros_(score.bias)
        with torch.no_grad():
            logits = head([pool3, pool4, fc7, image])
        # Where nothing fades and nothing is repeated, every pixel holds its own column.
        middle = slice(26, 60)
        expected = torch.arange(60)[middle] + 0.5
        torch.testing.assert_close(logits[0, 0, 30, middle], expected)


@pytest.mark.parametrize(("backbones", "heads"), [(3, 100), (100, 3)])
def test_a_backbone_of_another_padding_is_refused(backbones, heads):
    outputs = VGG16(padding=backbones, out_indices=(2, 3, 4))(torch.zeros(1, 3, 32, 32))
    head = FCNSkipHead((256, 512, 512), num_classes=3, padding=heads)
    with pytest.raises(ConfigError, match=f"padding={heads}, but the backbone pads otherwise"):
        head(outputs)


def test_a_traced_network_crops_to_the_size_of_each_image():
    torch.manual_seed(0)
    backbone = VGG16(padding=100, fc_channels=4).eval()
    head = FCNSkipHead((256, 512, 4), num_classes=3, padding=100, upsampling="frozen").eval()
    network = torch.nn.Sequential(backbone, head)
    torch.nn.init.normal_(head.conv_seg.weight)
    with torch.no_grad():
        traced = torch.jit.trace(network, torch.randn(1, 3, 7, 9), check_trace=False)
        image = torch.randn(1, 3, 20, 13)
        torch.testing.assert_close(traced(image), network(image))


@pytest.mark.parametrize("upsampling", UPSAMPLINGS)
@pytest.mark.parametrize(("coarse", "fine"), [(32, 16), (16, 8)])
def test_a_finer_network_starts_as_the_coarser_one_upsampled_twofold(coarse, fine, upsampling):
    trained = head_of(coarse, upsampling=upsampling)
    started = head_of(fine, upsampling=upsampling, random=False)
    missing, unexpected = started.load_state_dict(trained.state_dict(), strict=False)
    assert unexpected == []
    new = f"skip_scores.{len(trained.skip_scores)}"
    assert {name for name in missing if "scores" in name} == {f"{new}.weight", f"{new}.bias"}
    features = maps(fine)
    with torch.no_grad():
        coarser, finer = trained(features[1:]), started(features)
    inside = (..., slice(1, -1), slice(1, -1))
    torch.testing.assert_close(finer[inside], interpolated(coarser, 2)[inside])


def test_only_trained_upsamplings_have_weights_and_the_last_one_never_has():
    def names(**arguments):
        return {
            name for name in head_of(padding=100, **arguments).state_dict() if "score" not in name
        }

    last_layer = {"conv_seg.weight", "conv_seg.bias"}
    assert names() == names(upsampling="frozen") == last_layer
    trained = {"upsamplings.0.weight", "upsamplings.1.weight"}
    assert names(upsampling="trained") == last_layer | trained
    head = head_of(upsampling="trained")
    head(maps(8)).square().mean().backward()
    assert all(layer.weight.grad.abs().sum() > 0 for layer in head.upsamplings)


def test_all_scores_start_at_zero():
    assert all((p == 0).all() for p in head_of(random=False).parameters())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(padding=7), "padding=7 is not supported: use one of 0, 3, 100"),
        (dict(upsampling="nearest"), "use one of interpolation, frozen, trained"),
        (dict(skip_scales=(0.01,)), "skip_scales=(0.01,) must be 2 numbers above 0"),
        (dict(skip_scales=(0.01, 0)), "skip_scales=(0.01, 0) must be 2 numbers above 0"),
    ],
)
def test_an_impossible_argument_is_refused_with_the_allowed_values(arguments, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        head_of(**arguments)
