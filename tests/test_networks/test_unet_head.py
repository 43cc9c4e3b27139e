"""U-Net's decoder on every encoder that has maps at strides 2 to 32."""

import re
from pathlib import Path

import pytest
import torch
from mmseg.registry import MODELS
from mmseg.utils import register_all_modules
from torch import nn
from torch.nn import functional as F

from mmseg_deeplab_ext.backbones import VGG16, MobileNetV2, ResNetV1, ResNetV1Beta, Xception
from mmseg_deeplab_ext.decode_heads import UNetHead
from mmseg_deeplab_ext.errors import ConfigError

register_all_modules()
DOCS = Path(__file__).parents[2] / "docs" / "neighbours.md"
STEM_LAST = (4, 0, 1, 2, 3)
WIDTHS = (3, 4, 5, 6, 7)
# Encoder -> the channels of its maps at strides 2 to 32, and which of its outputs they are.
ENCODERS = {
    "ResNetV1-50": (lambda: ResNetV1(50, output_stride=32, stem_map=True),
                    (64, 256, 512, 1024, 2048), STEM_LAST),
    "ResNetV1Beta-50": (lambda: ResNetV1Beta(50, output_stride=32, stem_map=True),
                        (128, 256, 512, 1024, 2048), STEM_LAST),
    "ResNetV1Beta-18": (lambda: ResNetV1Beta(18, output_stride=32, stem_map=True),
                        (32, 64, 128, 256, 512), STEM_LAST),
    "MobileNetV2": (lambda: MobileNetV2(output_stride=32, stem_map=True),
                    (32, 144, 192, 576, 320), STEM_LAST),
    "Xception-41": (lambda: Xception(41, output_stride=32, stem_map=True),
                    (64, 256, 728, 1024, 2048), STEM_LAST),
    "VGG16": (lambda: VGG16(out_indices=(0, 1, 2, 3, 4)), (64, 128, 256, 512, 512), None),
}  # fmt: skip


def head_of(widths=WIDTHS, **arguments):
    torch.manual_seed(0)
    return UNetHead(widths, num_classes=3, **arguments).eval()


def maps(*size, widths=WIDTHS):
    """Maps at strides 2 to 32 of an image, sizes rounded up."""
    torch.manual_seed(1)
    return [
        torch.randn(2, width, *(-(-side // 2**n) for side in size))
        for n, width in enumerate(widths, start=1)
    ]


@pytest.mark.parametrize("encoder", ENCODERS)
def test_it_works_on_every_encoder_with_a_map_at_stride_2(encoder):
    build, widths, in_index = ENCODERS[encoder]
    head = head_of(widths, in_index=in_index, decoder_channels=(8, 8, 8, 8, 8))
    with torch.no_grad():
        assert head(build().eval()(torch.zeros(1, 3, 64, 96))).shape == (1, 3, 64, 96)


def test_on_the_common_resnet_50_encoder_its_convolutions_are_the_common_ones():
    with torch.device("meta"):
        head = head_of((64, 256, 512, 1024, 2048), decoder_channels=(512, 256, 128, 64, 64))
    convs = [[conv.conv for conv in block] for block in head.blocks]
    assert [(a.in_channels, a.out_channels, b.in_channels, b.out_channels) for a, b in convs] == [
        (3072, 512, 512, 512),
        (1024, 256, 256, 256),
        (512, 128, 128, 128),
        (192, 64, 64, 64),
        (64, 64, 64, 64),
    ]
    assert {conv.kernel_size for pair in convs for conv in pair} == {(3, 3)}


@pytest.mark.parametrize("align_corners", [False, True])
def test_a_block_upsamples_to_the_skip_concatenates_it_and_convolves_twice(align_corners):
    head = head_of((4, 6), decoder_channels=(5,), align_corners=align_corners)
    skip, x = maps(33, 50, widths=(4, 6))
    first, second = head.blocks[0]
    with torch.no_grad():
        up = F.interpolate(x, skip.shape[-2:], mode="bilinear", align_corners=align_corners)
        out = F.conv2d(torch.cat([up, skip], 1), first.conv.weight, first.conv.bias, padding=1)
        out = F.conv2d(out.relu(), second.conv.weight, second.conv.bias, padding=1).relu()
        torch.testing.assert_close(head([skip, x]), head.conv_seg(out))


@pytest.mark.parametrize("size", [(64, 96), (65, 97), (37, 50)])
@pytest.mark.parametrize(("blocks", "stride"), [(2, 8), (4, 2), (5, 1)])
def test_every_block_goes_one_stride_finer_on_odd_sizes_too(size, blocks, stride):
    head = head_of(decoder_channels=(4,) * blocks)
    with torch.no_grad():
        logits = head(maps(*size))
    # The last upsampling, to the image, has no map whose size it could take.
    expected = [2 * -(-side // 2) if stride == 1 else -(-side // stride) for side in size]
    assert list(logits.shape[-2:]) == expected


def test_with_aligned_corners_sizes_of_k_times_the_stride_and_1_stay_in_line():
    head = head_of(decoder_channels=(4,) * 5, align_corners=True)
    with torch.no_grad():
        assert head(maps(65, 97)).shape[-2:] == (65, 97)


def test_batch_norm_replaces_the_biases_of_its_convolutions():
    def parts(**arguments):
        head = head_of(**arguments)
        norms = [m for m in head.modules() if isinstance(m, nn.BatchNorm2d)]
        return len(norms), {conv.conv.bias is None for block in head.blocks for conv in block}

    assert parts() == (0, {False})
    assert parts(norm_cfg=dict(type="BN")) == (8, {True})


def test_every_weight_is_trained():
    head = head_of(decoder_channels=(4,) * 5)
    head(maps(64, 64)).square().mean().backward()
    assert all(p.grad is not None for p in head.parameters())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(decoder_channels=(8,) * 6), "are 6 blocks, but 5 maps"),
        (dict(decoder_channels=()), "decoder_channels=() must be a list of whole numbers"),
        (dict(widths=256), "in_channels=256 must be a list of whole numbers"),
    ],
)
def test_impossible_widths_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        head_of(**arguments)


def test_a_backbone_without_the_map_at_stride_2_is_named():
    head = head_of((3, 4, 5, 6, 7), in_index=STEM_LAST)
    with pytest.raises(ConfigError, match="in_index=4, but the backbone returns 4 feature maps"):
        head(tuple(maps(64, 64)[1:]))


def test_mmsegmentations_resnet_gets_its_map_at_stride_2_as_the_page_says():
    (snippet,) = re.findall(r"```python\n(.*?ResNetWithStem.*?)```", DOCS.read_text(), re.S)
    scope = {}
    exec(snippet, scope)
    network = MODELS.build(dict(type="ResNetWithStem", depth=50, norm_cfg=dict(type="BN")))
    network.eval()
    with torch.no_grad():
        outputs = network(torch.zeros(1, 3, 64, 96))
    assert [(o.shape[1], 64 // o.shape[2]) for o in outputs] == [
        (64, 2), (256, 4), (512, 8), (1024, 16), (2048, 32)
    ]  # fmt: skip
