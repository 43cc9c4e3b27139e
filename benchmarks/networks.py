"""Time DeepLabv3+ here against MMSegmentation's, in one run: forward, and a training step.

python benchmarks/networks.py --depth 50 --size 257 --batch 2

The peer is MMSegmentation's ResNetV1c with DepthwiseSeparableASPPHead at the same output stride,
crop and widths. The networks take turns, and the ratio of each pair of runs is reported: the
machine's other work touches both alike. The networks are not the same: TensorFlow's stem is twice
as wide, and with strides in the last unit of a block more units run at the finer resolution.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import time

import torch
from mmengine.device import get_device
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

BN = {"type": "BN"}


def networks(depth: int) -> dict[str, torch.nn.Module]:
    """Ours and MMSegmentation's network at output stride 16 with 21 classes."""
    wide = 512 if depth == 18 else 2048
    tap = 64 if depth == 18 else 256
    head = dict(in_channels=wide, channels=256, num_classes=21, c1_in_channels=tap, c1_channels=48)
    ours = dict(
        type="EncoderDecoder",
        backbone=dict(type="mmseg_deeplab_ext.ResNetV1Beta", depth=depth, output_stride=16),
        decode_head=dict(type="mmseg_deeplab_ext.DeepLabV3PlusHead", **head),
    )
    mmsegs = dict(
        type="EncoderDecoder",
        backbone=dict(
            type="ResNetV1c",
            depth=depth,
            strides=(1, 2, 2, 1),
            dilations=(1, 1, 1, 2),
            contract_dilation=True,
            norm_cfg=BN,
        ),
        decode_head=dict(
            type="DepthwiseSeparableASPPHead",
            in_index=3,
            dilations=(1, 6, 12, 18),
            norm_cfg=BN,
            **head,
        ),
    )
    return {"here": MODELS.build(ours), "mmseg": MODELS.build(mmsegs)}


def seconds(network: torch.nn.Module, image: torch.Tensor, *, training: bool) -> float:
    """Wall time of one forward pass, or of forward and backward."""
    network.train(training)
    synchronise = torch.cuda.synchronize if image.is_cuda else (lambda: None)
    synchronise()
    start = time.perf_counter()
    with torch.set_grad_enabled(training):
        logits = network(image)
        if training:
            logits.square().mean().backward()
    synchronise()
    return time.perf_counter() - start


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--depth", type=int, default=50, choices=[18, 50, 101])
    parser.add_argument("--size", type=int, default=513, help="height and width of the images")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5, help="pairs of runs, after one to warm up")
    args = parser.parse_args()
    init_default_scope("mmseg")
    logging.disable(logging.WARNING)
    device = get_device()
    pair = {name: network.to(device) for name, network in networks(args.depth).items()}
    image = torch.randn(args.batch, 3, args.size, args.size, device=device)
    for name, network in pair.items():
        millions = sum(p.numel() for p in network.parameters()) / 1e6
        print(f"{name}: {millions:.1f} million parameters")
    print(f"{args.batch} images of {args.size}x{args.size} on {device}, {args.rounds} rounds")
    for training in (False, True):
        rounds = []
        for number in range(args.rounds + 1):
            times = {n: seconds(net, image, training=training) for n, net in pair.items()}
            if number:
                rounds.append(times)
        medians = {name: statistics.median(times[name] for times in rounds) for name in pair}
        ratio = statistics.median(times["here"] / times["mmseg"] for times in rounds)
        what = "training step" if training else "forward pass"
        listed = ", ".join(f"{name} {median:.3f} s" for name, median in medians.items())
        print(f"{what}: {listed}, here / mmseg = {ratio:.2f}")


if __name__ == "__main__":
    main()
