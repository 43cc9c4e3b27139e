"""Time the official networks here against MMSegmentation's, in one run: forward, training step.

python benchmarks/networks.py resnet50 --size 257 --batch 2
python benchmarks/networks.py all

Every network is compared with the nearest one that MMSegmentation builds, at the same output
stride, crop and number of classes; where there is none (Xception, EdgeTPU), the time per
multiply-add counts, against MMSegmentation's ResNet-50 and MobileNetV2. The two networks take
turns, and the median ratio of the pairs of runs is reported: the machine's other work touches both
alike. They are not the same network: TensorFlow's ResNets have a wider stem and later strides, its
MobileNets other taps and heads. Multiply-adds are those of PyTorch's FlopCounterMode, memory is the
peak of a training step (weights, gradients, activations).
"""

from __future__ import annotations

import argparse
import copy
import logging
import statistics
import time
from functools import partial
from typing import Any, Callable

import torch
from mmengine.device import get_device
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from peak_memory import peak_bytes
from torch import nn
from zoo import complexity

from mmseg_deeplab_ext.plugins import load_plugins

CLASSES = 21
BN = dict(type="BN")
OURS = "mmseg_deeplab_ext."


def here(backbone: dict, tap: int, final: int, **head) -> dict[str, Any]:
    """A network of this package, DeepLabv3+ at output stride 16 unless said otherwise."""
    usual = dict(channels=256, num_classes=CLASSES, c1_in_channels=tap, in_channels=final)
    return dict(
        type="EncoderDecoder",
        backbone=dict(output_stride=16, **backbone),
        decode_head=dict(type=f"{OURS}DeepLabV3PlusHead", **{**usual, **head}),
    )


def mmsegs(backbone: dict, tap: int, final: int, in_index: int = 3) -> dict[str, Any]:
    """DeepLabv3+ of MMSegmentation at output stride 16, with the same widths."""
    return dict(
        type="EncoderDecoder",
        backbone=dict(norm_cfg=BN, **backbone),
        decode_head=dict(
            type="DepthwiseSeparableASPPHead",
            in_channels=final,
            in_index=in_index,
            channels=256,
            num_classes=CLASSES,
            dilations=(1, 6, 12, 18),
            c1_in_channels=tap,
            c1_channels=48,
            norm_cfg=BN,
        ),
    )


def mmsegs_resnet(depth: int) -> dict[str, Any]:
    """MMSegmentation's ResNetV1c at output stride 16."""
    backbone = dict(
        type="ResNetV1c",
        depth=depth,
        strides=(1, 2, 2, 1),
        dilations=(1, 1, 1, 2),
        contract_dilation=True,
    )
    return mmsegs(backbone, *((64, 512) if depth == 18 else (256, 2048)))


def mmsegs_mobilenet_v3(arch: str) -> dict[str, Any]:
    """MMSegmentation's MobileNetV3, which has output stride 8 only, with its LR-ASPP head."""
    large = arch == "large"
    return dict(
        type="EncoderDecoder",
        backbone=dict(
            type="MobileNetV3",
            arch=arch,
            reduction_factor=2,
            out_indices=(1, 3, 16) if large else (0, 1, 12),
            norm_cfg=BN,
        ),
        decode_head=dict(
            type="LRASPPHead",
            in_channels=(16, 24, 960) if large else (16, 16, 576),
            in_index=(0, 1, 2),
            channels=128,
            input_transform="multiple_select",
            num_classes=CLASSES,
            norm_cfg=BN,
        ),
    )


PEERS = {
    "mmseg's ResNet-18": mmsegs_resnet(18),
    "mmseg's ResNet-50": mmsegs_resnet(50),
    "mmseg's ResNet-101": mmsegs_resnet(101),
    "mmseg's MobileNetV2": mmsegs(
        dict(
            type="MobileNetV2",
            strides=(1, 2, 2, 2, 1, 1, 1),
            dilations=(1, 1, 1, 1, 1, 2, 2),
            out_indices=(1, 2, 4, 6),
        ),
        24,
        320,
    ),
    "mmseg's MobileNetV3 large": mmsegs_mobilenet_v3("large"),
    "mmseg's MobileNetV3 small": mmsegs_mobilenet_v3("small"),
}
"""The networks of MMSegmentation."""
BY_MULTIPLY_ADDS = ("mmseg's ResNet-50", "mmseg's MobileNetV2")
"""Peers of what MMSegmentation has no counterpart for."""


def _resnet(depth: int) -> dict[str, Any]:
    widths = (64, 512) if depth == 18 else (256, 2048)
    return here(dict(type=f"{OURS}ResNetV1Beta", depth=depth), *widths)


def _xception(depth: int, **head) -> dict[str, Any]:
    return here(dict(type=f"{OURS}Xception", depth=depth), 256, 2048, **head)


def _mobilenet_v3(arch: str, final: int, tap: int) -> dict[str, Any]:
    """The zoo's head, at the only output stride that MMSegmentation's network has."""
    network = here(
        dict(type=f"{OURS}MobileNetV3", arch=arch),
        tap,
        final,
        channels=CLASSES,
        dilations=(1,),
        aspp_channels=128,
        aspp_squeeze_excite="qsigmoid",
        aspp_projection=False,
        c1_in_index=1,
        decoder_sum_merge=True,
        decoder_logits=True,
    )
    network["backbone"]["output_stride"] = 8
    return network


def _edgetpu(factor: float, final: int, channels: int) -> dict[str, Any]:
    backbone = dict(type=f"{OURS}MobileNetEdgeTPU", widen_factor=factor)
    return here(backbone, 0, final, channels=channels, dilations=(1,))


NETWORKS = {
    "resnet18": (_resnet(18), ("mmseg's ResNet-18",)),
    "resnet50": (_resnet(50), ("mmseg's ResNet-50",)),
    "resnet101": (_resnet(101), ("mmseg's ResNet-101",)),
    "mobilenetv2": (here(dict(type=f"{OURS}MobileNetV2"), 144, 320), ("mmseg's MobileNetV2",)),
    "xception41": (_xception(41), BY_MULTIPLY_ADDS),
    "xception65": (_xception(65), BY_MULTIPLY_ADDS),
    "xception71": (_xception(71), BY_MULTIPLY_ADDS),
    "xception71_dpc": (
        _xception(71, dense_prediction_cell="branch5_top1_cityscapes"),
        BY_MULTIPLY_ADDS,
    ),
    "mobilenetv3_large": (_mobilenet_v3("large", 480, 120), ("mmseg's MobileNetV3 large",)),
    "mobilenetv3_small": (_mobilenet_v3("small", 288, 88), ("mmseg's MobileNetV3 small",)),
    "edgetpu": (_edgetpu(1.0, 1280, 256), BY_MULTIPLY_ADDS),
    "edgetpu_slim": (_edgetpu(0.75, 960, 128), BY_MULTIPLY_ADDS),
}
"""Our networks, and what each is compared with."""


def build(config: dict[str, Any]) -> nn.Module:
    """A segmentor on the device, with the weights that it starts from at random."""
    return MODELS.build(copy.deepcopy(config)).to(get_device())


def forward(network: nn.Module, image: torch.Tensor) -> None:
    """One pass without gradients."""
    network.eval()
    with torch.no_grad():
        network(image)


def step(network: nn.Module, image: torch.Tensor) -> None:
    """One pass forward and back."""
    network.train()
    network(image).square().mean().backward()


def seconds(run: Callable[[], None]) -> float:
    """Wall time of a run."""
    synchronise = torch.cuda.synchronize if torch.cuda.is_available() else (lambda: None)
    synchronise()
    start = time.perf_counter()
    run()
    synchronise()
    return time.perf_counter() - start


def compare(name: str, config: dict, peer_name: str, image: torch.Tensor, rounds: int) -> None:
    """Time a network and its peer in turns, and print the ratios."""
    configs = config, PEERS[peer_name]
    sizes, counts = zip(*(complexity(copy.deepcopy(c), image.shape[2:]) for c in configs))
    print(
        f"{name}: {sizes[0] / 1e6:.1f} million parameters, {counts[0] / 1e9:.1f} billion "
        f"multiply-adds; {peer_name}: {sizes[1] / 1e6:.1f}, {counts[1] / 1e9:.1f}"
    )
    pair = [build(each) for each in configs]
    for what, kind in (("forward pass", forward), ("training step", step)):
        times = [
            [seconds(partial(kind, network, image)) for network in pair] for _ in range(rounds + 1)
        ][1:]  # the first warms up
        medians = [statistics.median(column) for column in zip(*times)]
        ratio = statistics.median(ours / theirs for ours, theirs in times)
        print(
            f"  {what}: {medians[0]:.3f} s against {medians[1]:.3f} s, ratio {ratio:.2f}, "
            f"per multiply-add {ratio * counts[1] / counts[0]:.2f}"
        )
    peaks = [peak_bytes(partial(step, net, image), net) / 2**20 for net in pair]
    ratio = peaks[0] / peaks[1]
    print(f"  memory of a step: {peaks[0]:.0f} MiB against {peaks[1]:.0f}, ratio {ratio:.2f}")


def main() -> None:
    """Run the comparisons and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", choices=[*NETWORKS, "all"])
    parser.add_argument("--size", type=int, default=513, help="height and width of the images")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5, help="pairs of runs, after one to warm up")
    args = parser.parse_args()
    load_plugins()
    init_default_scope("mmseg")
    logging.disable(logging.WARNING)
    image = torch.randn(args.batch, 3, args.size, args.size, device=get_device())
    print(f"{args.batch} images of {args.size}x{args.size} on {get_device()}, {args.rounds} rounds")
    for name in NETWORKS if args.network == "all" else [args.network]:
        config, peers = NETWORKS[name]
        for peer in peers:
            compare(name, config, peer, image, args.rounds)


if __name__ == "__main__":
    main()
