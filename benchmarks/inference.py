"""Time the optimised path against MMSegmentation's own DeepLabv3+ on ResNetV1c-101, on the CPU.

python benchmarks/inference.py --output-stride 16
python benchmarks/inference.py --output-stride 8 --without onnx
python benchmarks/inference.py --network mobilenetv2

One image of 513x513, random weights. CPU time per thread, medians of rounds in which all take
turns, so that the machine's other work touches all alike; a share is the median of the rounds'
ratios to MMSegmentation's network as its configs write it (a head of 512 channels; ours,
TensorFlow's, has 256). For what the smaller head does not explain, divide by the share of
MMSegmentation's with 256.
"""

from __future__ import annotations

import argparse
import copy
import logging
import os
import statistics
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path
from typing import Any, Callable

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # waiting threads would count as work

import torch
from mmengine.registry import init_default_scope
from networks import build
from pairs import BN, OURS, here, mmsegs_resnet
from torch import nn

from mmseg_deeplab_ext.inference.optimise import optimise
from mmseg_deeplab_ext.plugins import load_plugins

RATES = {16: (1, 6, 12, 18), 8: (1, 12, 24, 36)}
STOCK = "MMSegmentation"
STOCK_256 = "MMSegmentation, 256 channels"


def resnets(output_stride: int) -> dict[str, dict[str, Any]]:
    """The networks at an output stride, by name; the first is what all are compared with."""
    rates = RATES[output_stride]
    backbone = dict(type=f"{OURS}ResNetV1Beta", depth=101, multi_grid=(1, 2, 4))
    ours = here(backbone, 256, 2048, dilations=rates)
    ours["backbone"]["output_stride"] = output_stride
    narrow = mmsegs_resnet(101)
    narrow["decode_head"]["dilations"] = rates
    if output_stride == 8:
        narrow["backbone"].update(strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4))
    stock = copy.deepcopy(narrow)
    stock["decode_head"]["channels"] = 512
    return {STOCK: stock, STOCK_256: narrow, "ours": ours}


def mobilenets(output_stride: int) -> dict[str, dict[str, Any]]:
    """DeepLabv3 on MobileNetV2: ``mobilenet-v2-d8_deeplabv3`` with its strides, and the zoo's."""
    strides = (1, 2, 2, 2, 1, 2, 1) if output_stride == 16 else (1, 2, 2, 1, 1, 1, 1)
    dilations = (1, 1, 1, 1, 1, 1, 2) if output_stride == 16 else (1, 1, 1, 2, 2, 4, 4)
    stock = dict(
        type="EncoderDecoder",
        backbone=dict(
            type="MobileNetV2",
            strides=strides,
            dilations=dilations,
            out_indices=(1, 2, 4, 6),
            norm_cfg=BN,
        ),
        decode_head=dict(
            type="ASPPHead",
            in_channels=320,
            in_index=3,
            channels=512,
            dilations=RATES[output_stride],
            num_classes=21,
            norm_cfg=BN,
        ),
    )
    narrow = copy.deepcopy(stock)
    narrow["decode_head"]["channels"] = 256
    ours = here(dict(type=f"{OURS}MobileNetV2"), 0, 320, dilations=(1,))
    ours["backbone"]["output_stride"] = output_stride
    return {STOCK: stock, STOCK_256: narrow, "ours": ours}


NETWORKS = {"resnet101": resnets, "mobilenetv2": mobilenets}


def forward(network: nn.Module, image: torch.Tensor) -> None:
    """One pass to the logits."""
    with torch.no_grad():
        network(image)


def exported(network: nn.Module, image: torch.Tensor, folder: Path) -> Callable[[], Any]:
    """The folded network as onnxruntime runs it, with PyTorch's number of threads."""
    import onnxruntime

    from mmseg_deeplab_ext.export.tracing import make_traceable
    from mmseg_deeplab_ext.inference.folding import folded

    path = str(folder / "network.onnx")
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of sizes that become constants: there is one
        traced = make_traceable(folded(network, lambda module: module(image)))
        torch.onnx.export(traced, (image,), path, input_names=["x"], dynamo=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return partial(session.run, None, {"x": image.numpy()})


def runs(
    networks: dict[str, nn.Module], image: torch.Tensor, folder: Path, without: list[str]
) -> dict[str, Callable[[], Any]]:
    """Everything to time, by name."""
    found = {name: partial(forward, network, image) for name, network in networks.items()}
    ours = networks["ours"]
    quick = optimise(ours)
    found["ours, optimised"] = partial(forward, quick, image)
    if "bf16" not in without:
        found["ours, --dtype bf16"] = partial(forward, optimise(ours, dtype="bf16"), image)
    if "onnx" not in without:
        found["ours, onnxruntime"] = exported(ours, image, folder)
    return found


def times(run: Callable[[], Any]) -> tuple[float, float]:
    """CPU time per thread, and wall time, of a run in seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    used = (time.process_time() - cpu) / torch.get_num_threads()
    return used, time.perf_counter() - wall


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=NETWORKS, default="resnet101")
    parser.add_argument("--output-stride", type=int, choices=RATES, default=16)
    parser.add_argument("--size", type=int, default=513, help="height and width of the image")
    parser.add_argument("--rounds", type=int, default=7, help="after one to warm up")
    parser.add_argument("--without", nargs="*", default=[], choices=("bf16", "onnx"))
    args = parser.parse_args()
    load_plugins()
    init_default_scope("mmseg")
    logging.disable(logging.WARNING)
    image = torch.randn(1, 3, args.size, args.size)
    configs = NETWORKS[args.network](args.output_stride)
    networks = {name: build(config).cpu().eval() for name, config in configs.items()}
    with tempfile.TemporaryDirectory() as folder:
        timed = runs(networks, image, Path(folder), args.without)
        rounds = [{name: times(run) for name, run in timed.items()} for _ in range(args.rounds + 1)]
    print(
        f"{args.network} at output stride {args.output_stride}, one image of {args.size}x"
        f"{args.size}, {torch.get_num_threads()} threads, {args.rounds} rounds"
    )
    print("| | CPU time per thread | share of MMSegmentation's | share of its wall time |")
    print("|---|---|---|---|")
    for name in timed:
        seconds = statistics.median(each[name][0] for each in rounds[1:])
        shares = [
            statistics.median(each[name][kind] / each[STOCK][kind] for each in rounds[1:])
            for kind in (0, 1)
        ]
        print(f"| {name} | {seconds * 1000:.0f} ms | {shares[0]:.2f} | {shares[1]:.2f} |")


if __name__ == "__main__":
    main()
