"""A step of a test pipeline in which one of several processes dies."""

import os
import signal
import time
from pathlib import Path

from mmseg.registry import TRANSFORMS


@TRANSFORMS.register_module()
class DieInSecondProcess:
    """Kill the process of rank 1 as ``kill -9`` would, when the other one has written two labels.

    That one reads four images before, and is slow with those after.

    Args:
        file: Written by the process that dies.
    """

    def __init__(self, file):
        self.file = Path(file)
        self.seen = 0

    def __call__(self, results):
        self.seen += 1
        if os.environ.get("RANK") == "1":
            while len(list(Path("out/labels").glob("*.png"))) < 2:
                time.sleep(0.01)
            self.file.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        while self.seen > 4 and not self.file.exists():
            time.sleep(0.01)
        time.sleep(0.1 if "RANK" in os.environ else 0)
        return results
