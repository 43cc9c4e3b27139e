"""Convert CHECKPOINT to OUT.pth, and print what that takes beyond the imports (Linux)."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from mmseg_deeplab_ext.checkpoints import open_checkpoint
from mmseg_deeplab_ext.conversion.from_tensorflow import plan_conversion
from mmseg_deeplab_ext.conversion.to_mmseg import Outputs, convert
from mmseg_deeplab_ext.plugins import load_plugins


def number(file: str, key: str) -> int:
    """A figure that the system keeps of this process."""
    lines = Path("/proc/self", file).read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1])


def main(path: str, out: str) -> None:
    """Print bytes of memory and of reading."""
    load_plugins()
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak
    memory, read = number("status", "VmRSS"), number("io", "rchar")
    with open_checkpoint(path) as checkpoint:
        convert(checkpoint, plan_conversion(checkpoint), Outputs(Path(out)))
    peak = number("status", "VmHWM") - memory
    print(json.dumps({"memory": 1024 * peak, "read": number("io", "rchar") - read}))


if __name__ == "__main__":
    main(*sys.argv[1:])
