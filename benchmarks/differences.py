"""What it costs to differ from TensorFlow's network in one thing, as others of its name do.

python -m benchmarks.differences    # from the root of a checkout
python -m benchmarks.differences --family Xception

Builds a network of the tests (weights and image from tests/support/deterministic.py), changes one
thing, and prints the largest change of the logits, as a share of max|logits|, and the share of
labels that change, on an odd and on an even image. In float64 on the CPU; needs pytest.
"""

from __future__ import annotations

import argparse
import copy
import logging
from typing import Callable, Iterator

import torch
from mmcv.cnn.bricks import Conv2dAdaptivePadding
from mmengine.utils.dl_utils.parrots_wrapper import _BatchNorm
from torch import Tensor, nn
from torch.nn import functional as F

from mmseg_deeplab_ext.layers.bilinear_resize import resize_bilinear
from tests.support.deterministic import make_image
from tests.support.golden_files import MANIFEST
from tests.support.golden_networks import GoldenNetwork, normalised

SIZES = (65, 97), (64, 96)
IMAGENET_MEAN, IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)

# Changes of a network. Their first line is what the table says.


def nothing(network: GoldenNetwork) -> None:
    """Nothing."""


def imagenet_input(network: GoldenNetwork) -> None:
    """ImageNet's mean and std instead of [-1, 1]."""
    mean, std = (torch.tensor(v).double().view(3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    network.backbone.register_forward_pre_hook(
        lambda module, args: ((args[0] + 1) * 127.5 - mean) / std
    )


def half_pixel_centres(network: GoldenNetwork) -> None:
    """Half-pixel centres instead of aligned corners."""

    def resize_before(stage: nn.Module, args: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        x, tap = args
        return resize_bilinear(x, tap.shape[-2:], align_corners=False), tap

    network.decode_head.align_corners = False
    for stage in network.decode_head.decoder:
        stage.register_forward_pre_hook(resize_before)


def pytorch_epsilon(network: GoldenNetwork) -> None:
    """Batch norm's eps 1e-5 in the backbone."""
    for module in network.backbone.modules():
        if isinstance(module, _BatchNorm):
            module.eps = 1e-5


def symmetric_padding(network: GoldenNetwork) -> None:
    """Stride 2 padded on both sides."""
    for module in network.backbone.modules():
        if isinstance(module, Conv2dAdaptivePadding):
            module.__class__ = nn.Conv2d
            module.padding = tuple(size // 2 for size in module.kernel_size)


def symmetric_pool(network: GoldenNetwork) -> None:
    """Max pool padded on both sides."""
    stem = network.backbone.stem
    network.backbone._forward_stem = lambda x: F.max_pool2d(stem(x), 3, stride=2, padding=1)


def stride_in_first_unit(network: GoldenNetwork) -> None:
    """Stride in a block's first unit."""
    blocks = layers(network)
    for block, following in zip(blocks, blocks[1:]):
        if block[-1].stride == 2:
            block[-1].stride, block[-1].conv2.stride = 1, (1, 1)
            following[0].conv2.stride = following[0].downsample[0].stride = (2, 2)


def multi_grid_replaces(network: GoldenNetwork) -> None:
    """Multi-grid in place of the dilation."""
    for unit, dilation in zip(layers(network)[-1], network.options["multi_grid"]):
        dilate(unit.conv2, dilation)


def tap_after_relu(network: GoldenNetwork) -> None:
    """Tap after the ReLU."""
    network.backbone.register_forward_hook(lambda module, args, out: (out[0].relu(), *out[1:]))


def tap_after_addition(network: GoldenNetwork) -> None:
    """Tap after addition and ReLU."""
    for unit in units(network):
        unit.register_forward_hook(lambda module, args, out: (out[0], out[0]))


def tap_after_squeeze_excite(network: GoldenNetwork) -> None:
    """Tap after the squeeze-excite."""
    for unit in units(network):
        if getattr(unit, "squeeze_excite", None):
            unit.register_forward_hook(
                lambda unit, args, out: (out[0], unit.squeeze_excite(out[1]))
            )


def gate_over_six(network: GoldenNetwork) -> None:
    """Squeeze-excite's gate / 6 instead of * 0.16667."""
    for unit in units(network):
        if getattr(unit, "squeeze_excite", None):
            unit.squeeze_excite.register_forward_hook(lambda module, args, out: out / 6 / 0.16667)


def dilation_in_first_unit(network: GoldenNetwork) -> None:
    """Dilation in a block's first unit alone."""
    for block in layers(network):
        dilation = block[-1].depthwise.conv.dilation[0]
        for unit, new in zip(block, (dilation, *[1] * (len(block) - 1))):
            if unit.depthwise.conv.stride == (1, 1):
                dilate(unit.depthwise.conv, new)


def dilation_raised_early(network: GoldenNetwork) -> None:
    """Dilation raised in the unit that loses its stride."""
    for unit in without_their_stride(network):
        dilate(unit.depthwise.conv, 2 * unit.depthwise.conv.dilation[0])


def no_addition_without_stride(network: GoldenNetwork) -> None:
    """Nothing added in the unit that loses its stride."""
    for unit in without_their_stride(network):
        unit.adds_input = False


def no_projection_without_stride(network: GoldenNetwork) -> None:
    """No projection in a unit of one width that loses its stride."""
    for unit in units(network):
        conv = getattr(unit.shortcut, "conv", None)
        if conv and conv.stride == (1, 1) and conv.in_channels == conv.out_channels:
            unit.shortcut = nn.Identity()


def relu_in_first_unit(network: GoldenNetwork) -> None:
    """ReLU after the first unit."""
    layers(network)[0][0].register_forward_hook(lambda module, args, out: (out[0].relu(), out[1]))


def layers(network: GoldenNetwork) -> list[nn.ModuleList]:
    """The backbone's blocks."""
    return [getattr(network.backbone, name) for name in network.backbone.layer_names]


def units(network: GoldenNetwork) -> Iterator[nn.Module]:
    """The units of all blocks."""
    return (unit for layer in layers(network) for unit in layer)


def without_their_stride(network: GoldenNetwork) -> Iterator[nn.Module]:
    """The units of a MobileNet that have a dilation in the place of their stride."""
    for layer, specs in zip(layers(network), network.spec.blocks):
        for unit, spec in zip(layer, specs):
            if spec.stride == 2 and unit.depthwise.conv.stride == (1, 1):
                yield unit


def dilate(conv: nn.Conv2d, dilation: int) -> None:
    """Set the dilation of a convolution, and the padding that keeps the size."""
    conv.dilation = (dilation, dilation)
    conv.padding = tuple(dilation * (size // 2) for size in conv.kernel_size)


EVERYWHERE = (nothing, pytorch_epsilon, imagenet_input, half_pixel_centres)
RESNET = (symmetric_pool, stride_in_first_unit, multi_grid_replaces)
RESNET += (tap_after_relu, tap_after_addition)
MOBILENET_V3 = (symmetric_padding, dilation_raised_early, gate_over_six)
SMALL = (*MOBILENET_V3, no_addition_without_stride, tap_after_squeeze_excite)
OS_8 = {"output_stride": 8, "atrous_rates": (12, 24, 36)}
# Family, a network of tests/data/goldens.json, options in the place of its own, and changes.
TABLE = (
    ("ResNet", "r50b_v3plus_os16_mg124_65x97", {}, RESNET),
    ("MobileNetV2", "mnv2_v3plus_os16_65x97", {}, (symmetric_padding, dilation_in_first_unit)),
    ("MobileNetV3", "mnv3_large_v3plus_os8_64x96", {}, MOBILENET_V3),
    ("MobileNetV3", "mnv3_small_v3plus_os16_64x96", OS_8, SMALL),
    ("MobileNetEdgeTPU", "edgetpu_os16_64x96", {}, (symmetric_padding, relu_in_first_unit)),
    ("Xception", "x65_v3plus_os16_65x97", {}, (tap_after_relu,)),
    ("Xception", "x71_v3plus_os16_65x97", OS_8, (no_projection_without_stride,)),
)


def logits_and_labels(network: GoldenNetwork, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The head's output, and the labels at the size of the image."""
    image = normalised(make_image(*size), network.options).double()
    logits = network.outputs(image)["logits"]
    align_corners = network.decode_head.align_corners
    return logits, resize_bilinear(logits, size, align_corners=align_corners).argmax(dim=1)


def cost(
    network: GoldenNetwork, change: Callable[[GoldenNetwork], None], size: tuple[int, int]
) -> tuple[float, float]:
    """How far the logits move, relative to max|logits|, and the share of labels that change."""
    changed = copy.deepcopy(network)
    change(changed)
    logits, labels = logits_and_labels(network, size)
    new_logits, new_labels = logits_and_labels(changed, size)
    error = (new_logits - logits).abs().max() / logits.abs().max()
    return error.item(), (new_labels != labels).double().mean().item()


def main() -> None:
    """Measure and print, as a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", choices=list(dict.fromkeys(family for family, *_ in TABLE)))
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    print("| network | what is changed | 65x97: logits, labels | 64x96 |\n|---|---|---|---|")
    for family, golden, more, changes in TABLE:
        if args.family in (None, family):
            options = {**MANIFEST["networks"][golden]["options"], **more, "crop_size": None}
            network = GoldenNetwork(options).double()
            title = f"{options['model_variant']}, output stride {options['output_stride']}"
            for change in (*EVERYWHERE, *changes):
                costs = (cost(network, change, size) for size in SIZES)
                cells = " | ".join(f"{error:.1e}, {share:.1%}" for error, share in costs)
                print(f"| {title} | {change.__doc__.rstrip('.')} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
