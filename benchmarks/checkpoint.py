"""Time and memory of reading, converting and writing a ResNet-101 DeepLabv3+ checkpoint.

python benchmarks/checkpoint.py
python benchmarks/checkpoint.py --tensorflow .venv-tensorflow/bin/python

The network is the one with dense convolutions in ASPP and decoder (238 MB); its checkpoint also has
the slots of the momentum optimizer, as training leaves it. The values are random, the files lie in
a temporary folder and in the page cache. What is compared takes turns, and the ratio of each pair
of runs is reported: the machine's other work touches both alike.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable, Iterator

import numpy as np
import torch

from mmseg_deeplab_ext.checkpoints import CheckpointError, open_checkpoint
from mmseg_deeplab_ext.checkpoints.writer import write_checkpoint
from mmseg_deeplab_ext.conversion.from_tensorflow import plan_conversion, read_state_dict
from mmseg_deeplab_ext.conversion.to_mmseg import Outputs, convert
from mmseg_deeplab_ext.plugins import load_plugins
from mmseg_deeplab_ext.specs import ResNetV1BetaSpec
from mmseg_deeplab_ext.specs.deeplab_head import HeadSpec
from mmseg_deeplab_ext.specs.network import NetworkSpec

MEGA = 1e6
SLOT = "/Momentum"

PROCESSES = Path(__file__).parent / "processes"
"""Programs that run in processes of their own, and print their figures."""


def deeplab(depth: int) -> NetworkSpec:
    """DeepLabv3+ for 21 classes with dense convolutions."""
    head = HeadSpec.of(
        in_channels=512 if depth == 18 else 2048,
        channels=256,
        num_classes=21,
        num_rates=3,
        aspp_channels=256,
        aspp_separable=False,
        image_pooling=True,
        c1_in_channels=(64 if depth == 18 else 256,),
        c1_channels=(48,),
        decoder_separable=False,
    )
    return NetworkSpec(ResNetV1BetaSpec(depth), head)


def variables(network: NetworkSpec) -> dict[str, np.ndarray]:
    """The network's variables with random values, and a slot of each that is trained."""
    random = np.random.default_rng(0)
    values = {}
    for rule in network.rules():
        values[rule.tf_name] = random.standard_normal(rule.shape, np.float32)
        if not rule.tf_name.endswith(("/moving_mean", "/moving_variance")):
            values[rule.tf_name + SLOT] = random.standard_normal(rule.shape, np.float32)
    values["global_step"] = np.array(30000, np.int64)
    return values


def extents(sizes: dict[str, int]) -> Iterator[tuple[str, int, int]]:
    """Name, offset and size of every tensor: they are written back to back, sorted by name."""
    offset = 0
    for name in sorted(sizes, key=str.encode):
        yield name, offset, sizes[name]
        offset += sizes[name]


def in_turns(
    first: Callable[[], object],
    second: Callable[[], object],
    *,
    rounds: int,
    clock: Callable[[], float],
) -> tuple[float, float, float]:
    """Median time of both, and the median of first over second; one round to warm up."""
    times = []
    for number in range(rounds + 1):
        pair = []
        for function in (first, second):
            start = clock()
            result = function()
            pair.append(clock() - start)
            del result
        if number:
            times.append(pair)
    return (
        statistics.median(pair[0] for pair in times),
        statistics.median(pair[1] for pair in times),
        statistics.median(pair[0] / pair[1] for pair in times),
    )


def opening(prefix: Path, *, rounds: int) -> list[tuple[str, str, str]]:
    """Time from the path to all names, and to all shapes and dtypes."""
    listed, described = [], []
    for _ in range(rounds):
        start = time.perf_counter()
        with open_checkpoint(prefix) as checkpoint:
            names = list(checkpoint)
            listed.append(1000 * (time.perf_counter() - start))
            for name in names:
                checkpoint.shape(name), checkpoint.dtype(name)
            described.append(1000 * (time.perf_counter() - start))
    return [
        (what, target, f"{min(times):.1f} ms (median {statistics.median(times):.1f} ms)")
        for what, target, times in (
            (f"open and list {len(names)} names", "< 10 ms", listed),
            ("the same with shapes and dtypes", "", described),
        )
    ]


def reading(prefix: Path, sizes: dict[str, int], *, rounds: int) -> list[tuple[str, str, str]]:
    """Reading the weights against ``numpy.fromfile`` of the same bytes."""
    needed = [extent for extent in extents(sizes) if not extent[0].endswith(SLOT)]
    data = f"{prefix}.data-00000-of-00001"

    def ours() -> dict[str, np.ndarray]:
        with open_checkpoint(prefix) as checkpoint:
            return {name: checkpoint.read(name) for name, _, _ in needed}

    def views() -> dict[str, np.ndarray]:
        with open_checkpoint(prefix) as checkpoint:
            return {name: checkpoint[name] for name, _, _ in needed}

    def plain() -> dict[str, np.ndarray]:
        with open(data, "rb") as file:
            return {
                name: np.fromfile(file, np.uint8, size, offset=offset - file.tell())
                for name, offset, size in needed
            }

    rows = []
    for what, target, function in (
        ("read the weights, into arrays of their own", ">= 0.5", ours),
        ("read the weights, as views", "", views),
    ):
        mine, numpys, ratio = in_turns(function, plain, rounds=rounds, clock=time.perf_counter)
        text = f"{1 / ratio:.2f} times its speed ({mine:.3f} s, numpy.fromfile {numpys:.3f} s)"
        rows.append((what, target, text))
    return rows


def converting(prefix: Path, folder: Path, *, rounds: int) -> list[tuple[str, str, str]]:
    """CPU time of a conversion to a ``.pth`` against ``torch.save`` of the same tensors."""
    outputs = Outputs(folder / "converted.pth", overwrite=True)
    with open_checkpoint(prefix) as checkpoint:
        state_dict = read_state_dict(checkpoint, plan_conversion(checkpoint))

    def ours() -> None:
        with open_checkpoint(prefix) as checkpoint:
            convert(checkpoint, plan_conversion(checkpoint), outputs)

    def torchs() -> None:
        torch.save(state_dict, folder / "saved.pth")

    mine, saved, ratio = in_turns(ours, torchs, rounds=rounds, clock=time.process_time)
    text = f"{ratio:.2f} times its CPU time ({mine:.2f} s, torch.save {saved:.2f} s)"
    return [("convert to .pth", "<= 3", text)]


def resources(prefix: Path, folder: Path, *, weights: int) -> list[tuple[str, str, str]]:
    """Memory and bytes that a conversion in a fresh process takes beyond the imports."""
    used = run_json(sys.executable, "convert_checkpoint.py", prefix, folder / "fresh.pth")
    memory, read = used["memory"], used["read"]
    return [
        (
            "peak memory of a conversion",
            "<= 1.3",
            f"{memory / weights:.2f} times the tensors ({memory / MEGA:.0f} MB)",
        ),
        (
            "bytes read by a conversion",
            "1.00",
            f"{read / weights:.2f} times the tensors ({read / MEGA:.0f} MB)",
        ),
    ]


def without_slots(prefix: Path, sizes: dict[str, int]) -> list[tuple[str, str, str]]:
    """Overwrite all slots in the file; the weights must not notice."""
    slots = [extent for extent in extents(sizes) if extent[0].endswith(SLOT)]
    with open(f"{prefix}.data-00000-of-00001", "r+b") as file:
        for _, offset, size in slots:
            file.seek(offset)
            file.write(bytes(size))
    with open_checkpoint(prefix) as checkpoint:
        read_state_dict(checkpoint, plan_conversion(checkpoint))
        noticed = 0
        for name, _, _ in slots:
            try:
                checkpoint.read(name)
            except CheckpointError:
                noticed += 1
    text = f"the weights are read as before; reading a slot fails for {noticed} of {len(slots)}"
    return [("all slots overwritten", "no error", text)]


def tensorflow(python: str, prefix: Path, *, rounds: int) -> list[tuple[str, str, str]]:
    """What TensorFlow takes for the same."""
    used = run_json(python, "read_with_tensorflow.py", prefix, SLOT, rounds)
    return [
        ("TensorFlow: import", "", f"{used['import']:.1f} s, {used['memory'] / MEGA:.0f} MB"),
        ("TensorFlow: open and list", "", f"{1000 * used['list']:.1f} ms"),
        ("TensorFlow: read the weights", "", f"{used['read']:.3f} s"),
    ]


def run_json(python: str, program: str, *arguments: object) -> dict[str, float]:
    """Run a program in a fresh process; it prints its figures in its last line."""
    command = [python, str(PROCESSES / program), *map(str, arguments)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    process = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, env=environment
    )
    return json.loads(process.stdout.splitlines()[-1])


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--depth", type=int, default=101, choices=[18, 50, 101])
    parser.add_argument("--rounds", type=int, default=9, help="pairs of runs, after one to warm up")
    parser.add_argument(
        "--tensorflow",
        default=os.environ.get("DEEPLAB_TF_PYTHON"),
        metavar="PYTHON",
        help="a Python with TensorFlow to compare with (default: $DEEPLAB_TF_PYTHON)",
    )
    args = parser.parse_args()
    load_plugins()
    torch.set_num_threads(1)
    values = variables(deeplab(args.depth))
    sizes = {name: value.nbytes for name, value in values.items()}
    weights = sum(size for name, size in sizes.items() if not name.endswith(SLOT))
    with tempfile.TemporaryDirectory() as folder:
        prefix = Path(folder) / "model.ckpt"
        start = time.perf_counter()
        write_checkpoint(prefix, values)
        wrote = time.perf_counter() - start
        total = sum(sizes.values())
        print(f"{deeplab(args.depth)}: {weights / MEGA:.0f} MB, with slots {total / MEGA:.0f} MB")
        del values
        rows = [("write", "", f"{wrote:.2f} s ({total / MEGA / wrote:.0f} MB/s, with fsync)")]
        rows += opening(prefix, rounds=args.rounds)
        rows += reading(prefix, sizes, rounds=args.rounds)
        rows += converting(prefix, Path(folder), rounds=args.rounds)
        rows += resources(prefix, Path(folder), weights=weights)
        if args.tensorflow:
            rows += tensorflow(args.tensorflow, prefix, rounds=args.rounds)
        rows += without_slots(prefix, sizes)
    width = max(len(what) for what, _, _ in rows)
    for what, target, measured in rows:
        print(f"{what:<{width}}  {target:<8}  {measured}")


if __name__ == "__main__":
    main()
