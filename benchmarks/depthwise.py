"""Time the forms of a depthwise atrous convolution on the CPU: what ``quickest_form`` follows.

python benchmarks/depthwise.py

Milliseconds of CPU time per thread, medians of rounds in which the forms take turns; a star marks
the form that the rule takes, where it has a choice (channels-last).
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # waiting threads would count as work

import torch
from torch import nn

from mmseg_deeplab_ext.inference.depthwise import padded, plain, quickest_form, shifted

FORMS = (plain, shifted, padded)
MAPS = {
    33: (2048, (6, 12, 18)),
    65: (2048, (12, 24, 36)),
    129: (256, (12, 24, 36)),
}
"""Height and width of a map -> its channels, and rates."""


def conv_of(channels: int, rate: int) -> nn.Conv2d:
    """A depthwise convolution."""
    return nn.Conv2d(channels, channels, 3, padding=rate, dilation=rate, groups=channels)


def milliseconds(form, conv: nn.Conv2d, x: torch.Tensor) -> float:
    """CPU time per thread."""
    start = time.process_time()
    form(conv, x)
    return (time.process_time() - start) * 1000 / torch.get_num_threads()


@torch.no_grad()
def row(channels: int, side: int, rate: int, *, dtype: torch.dtype, layout, rounds: int) -> str:
    """Time all forms on one kind of map."""
    conv = conv_of(channels, rate).to(dtype).to(memory_format=layout)
    x = torch.randn(1, channels, side, side).to(dtype).contiguous(memory_format=layout)
    times = [[milliseconds(form, conv, x) for form in FORMS] for _ in range(rounds + 1)][1:]
    chosen = quickest_form(conv, x)
    cells = [
        f"{statistics.median(column):8.1f}{'*' if form is chosen else ' '}"
        for form, column in zip(FORMS, zip(*times))
    ]
    name = "NHWC" if layout == torch.channels_last else "NCHW"
    kind = str(dtype).replace("torch.", "")
    return f"{channels:5} x {side:3}, rate {rate:2}, {kind:8} {name}: {''.join(cells)}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="after one to warm up")
    rounds = parser.parse_args().rounds
    print(f"{torch.get_num_threads()} threads; {', '.join(form.__name__ for form in FORMS)}")
    for side, (channels, rates) in MAPS.items():
        for rate in rates:
            for dtype in (torch.float32, torch.bfloat16):
                for layout in (torch.contiguous_format, torch.channels_last):
                    print(row(channels, side, rate, dtype=dtype, layout=layout, rounds=rounds))


if __name__ == "__main__":
    main()
