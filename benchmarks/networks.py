"""Time the networks here against MMSegmentation's, in one run: forward, training step.

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
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from pairs import MULTIPLES_OF, NETWORKS, PEERS
from peak_memory import peak_bytes
from torch import nn
from zoo import complexity

from mmseg_deeplab_ext.plugins import load_plugins


def build(config: dict[str, Any]) -> nn.Module:
    """A segmentor on the device, with the weights that it starts from at random."""
    return revert_sync_batchnorm(MODELS.build(copy.deepcopy(config))).to(get_device())


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
    """Time of a run: on a GPU by the clock, else CPU time per thread, as other work counts less."""
    if not torch.cuda.is_available():
        start = time.process_time()
        run()
        return (time.process_time() - start) / torch.get_num_threads()
    torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def compare(name: str, config: dict, peer_name: str, image: torch.Tensor, rounds: int) -> None:
    """Time a network and its peer in turns, and print the ratios."""
    configs = config, PEERS[peer_name]
    multiple = MULTIPLES_OF.get(peer_name, 1)
    image = image[:, :, : image.shape[2] // multiple * multiple]
    image = image[..., : image.shape[3] // multiple * multiple].contiguous()
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
