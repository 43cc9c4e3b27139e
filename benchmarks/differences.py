"""What it costs to differ from TensorFlow's network in one thing, as others of its name do.

python -m benchmarks.differences    # from the root of a checkout
python -m benchmarks.differences --family Xception

Builds a network of the tests (weights and image from tests/support/deterministic.py), changes one
thing, and prints the largest change of the logits, as a share of max|logits|, and the share of
pixels whose label changes, on an odd and on an even image. In float64 on the CPU; needs pytest.
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


def no_change(network: GoldenNetwork) -> None:
    """The network as it is."""


def imagenet_input(network: GoldenNetwork) -> None:
    """Normalise with ImageNet's mean and standard deviation instead of to [-1, 1]."""
    mean, std = (torch.tensor(v).double().view(3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    network.backbone.register_forward_pre_hook(
        lambda module, args: ((args[0] + 1) * 127.5 - mean) / std
    )


def half_pixel_centres(network: GoldenNetwork) -> None:
    """Resize without aligned corners, in the decoder and to the image."""

    def resize_before(module: nn.Module, args: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        x, tap = args
        return resize_bilinear(x, tap.shape[-2:], align_corners=False), tap

    network.decode_head.align_corners = False
    for stage in network.decode_head.decoder:
        stage.register_forward_pre_hook(resize_before)


def pytorch_epsilon(network: GoldenNetwork) -> None:
    """Give the backbone's batch norms PyTorch's epsilon."""
    for module in network.backbone.modules():
        if isinstance(module, _BatchNorm):
            module.eps = 1e-5


def symmetric_padding(network: GoldenNetwork) -> None:
    """Pad strided convolutions by half their kernel on all sides."""
    for module in network.backbone.modules():
        if isinstance(module, Conv2dAdaptivePadding):
            module.__class__ = nn.Conv2d
            module.padding = tuple(size // 2 for size in module.kernel_size)


def symmetric_pool(network: GoldenNetwork) -> None:
    """Pad the max pool on all sides."""
    stem = network.backbone.stem
    network.backbone._forward_stem = lambda x: F.max_pool2d(stem(x), 3, stride=2, padding=1)


def tap_after_relu(network: GoldenNetwork) -> None:
    """Activate the decoder's tap."""
    network.backbone.register_forward_hook(lambda module, args, out: (out[0].relu(), *out[1:]))


def tap_after_addition(network: GoldenNetwork) -> None:
    """Tap the output of the units, after addition and ReLU."""
    for unit in units(network):
        unit.register_forward_hook(lambda module, args, out: (out[0], out[0]))


def stride_in_first_unit(network: GoldenNetwork) -> None:
    """Move a ResNet's strides from a block's last unit to the next block's first."""
    blocks = layers(network)
    for block, following in zip(blocks, blocks[1:]):
        if block[-1].stride == 2:
            block[-1].stride, block[-1].conv2.stride = 1, (1, 1)
            following[0].conv2.stride = following[0].downsample[0].stride = (2, 2)


def multi_grid_replaces(network: GoldenNetwork) -> None:
    """Dilate a ResNet's last block by multi_grid itself."""
    for unit, dilation in zip(layers(network)[-1], network.options["multi_grid"]):
        dilate(unit.conv2, dilation)


def dilation_in_first_unit(network: GoldenNetwork) -> None:
    """Dilate only the first unit of each block, by what the block's last one has."""
    for block in layers(network):
        (dilation, _) = block[-1].depthwise.conv.dilation
        for unit, new in zip(block, (dilation, *[1] * (len(block) - 1))):
            if unit.depthwise.conv.stride == (1, 1):
                dilate(unit.depthwise.conv, new)


def no_shortcut_without_stride(network: GoldenNetwork) -> None:
    """Drop an Xception's projection where neither stride nor width change."""
    for unit in units(network):
        projection = getattr(unit.shortcut, "conv", None)
        if projection and projection.stride == (1, 1):
            if projection.in_channels == projection.out_channels:
                unit.shortcut = nn.Identity()


def layers(network: GoldenNetwork) -> list[nn.ModuleList]:
    """The backbone's blocks."""
    return [getattr(network.backbone, name) for name in network.backbone.layer_names]


def units(network: GoldenNetwork) -> Iterator[nn.Module]:
    """The units of all blocks."""
    return (unit for layer in layers(network) for unit in layer)


def dilate(conv: nn.Conv2d, dilation: int) -> None:
    """Set the dilation of a convolution, and the padding that keeps the size."""
    conv.dilation = (dilation, dilation)
    conv.padding = tuple(dilation * (size // 2) for size in conv.kernel_size)


OUTPUT_STRIDE_8 = {"output_stride": 8, "atrous_rates": (12, 24, 36)}
# Family, its network in tests/data/goldens.json, options on top, and the differences to look at.
TABLE = (
    (
        "ResNet",
        "r50b_v3plus_os16_mg124_65x97",
        {},
        {
            "batch norm's eps 1e-5": pytorch_epsilon,
            "max pool padded on both sides": symmetric_pool,
            "stride in the first unit": stride_in_first_unit,
            "multi_grid replaces the dilation": multi_grid_replaces,
            "tap after the ReLU": tap_after_relu,
            "tap after addition and ReLU": tap_after_addition,
            "ImageNet's mean and std": imagenet_input,
            "half-pixel centres": half_pixel_centres,
        },
    ),
    (
        "MobileNetV2",
        "mnv2_v3plus_os16_65x97",
        {},
        {
            "batch norm's eps 1e-5": pytorch_epsilon,
            "stride 2 padded on both sides": symmetric_padding,
            "dilation in the first unit of a block alone": dilation_in_first_unit,
            "ImageNet's mean and std": imagenet_input,
            "half-pixel centres": half_pixel_centres,
        },
    ),
    (
        "Xception",
        "x65_v3plus_os16_65x97",
        {},
        {
            "batch norm's eps 1e-5": pytorch_epsilon,
            "tap after the ReLU": tap_after_relu,
            "ImageNet's mean and std": imagenet_input,
            "half-pixel centres": half_pixel_centres,
        },
    ),
    (
        "Xception",
        "x71_v3plus_os16_65x97",
        OUTPUT_STRIDE_8,
        {"no projection where neither stride nor width change": no_shortcut_without_stride},
    ),
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
    parser.add_argument("--family", choices=sorted({family for family, *_ in TABLE}))
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    heads = (f"{kind} {h}x{w}" for kind, (h, w) in zip(("odd", "even"), SIZES))
    print(f"| network | difference | {' | '.join(heads)} |\n|---|---|---|---|")
    for family, golden, more, differences in TABLE:
        if args.family not in (None, family):
            continue
        options = {**MANIFEST["networks"][golden]["options"], **more, "crop_size": None}
        network = GoldenNetwork(options).double()
        title = f"{options['model_variant']}, output stride {options['output_stride']}"
        for what, change in {"none": no_change, **differences}.items():
            costs = (cost(network, change, size) for size in SIZES)
            cells = (f"{error:.1e}, {share:.2%}" for error, share in costs)
            print(f"| {title} | {what} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
