"""Shows that the reader gives correct values or CheckpointError, on many damaged checkpoints.

    python -m tests.fuzz_reader --count 20000 --seed 0

Half of them are damaged as a bad disk would do it: then what is read must be equal, bit for bit, to
what was written. The other half have right checksums around wrong content: then values may differ,
but nothing else may happen. For all, time and memory are limited.
"""

from __future__ import annotations

import argparse
import collections
import random
import shutil
import signal
import tempfile
import time
import tracemalloc
from pathlib import Path

from mmseg_deeplab_ext.checkpoints import CheckpointError, open_checkpoint
from tests.support.checkpoint_files import assert_same, expected
from tests.support.mutations import fixture_of, mutate_plain, mutate_sealed, path_of, sources

SECONDS = 5
# Python's own objects, and a small multiple of what is there to be read. What is merely claimed
# (up to 2**64) is far more.
BYTES, BYTES_PER_BYTE = 4 << 20, 64


class Outcome:
    """What came of one damaged checkpoint."""

    def __init__(self):
        self.errors = collections.Counter()  # names of error classes
        self.equal = 0  # tensors
        self.different = 0
        self.listed = False


def write(folder, files):
    """Put a checkpoint's files into an empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def examine(path, wanted, *, sealed):
    """Open a checkpoint and read all of it in all ways.

    Args:
        path: what to open.
        wanted: {name: value} before it was damaged.
        sealed: checksums are right, so values may differ.
    """
    outcome = Outcome()
    try:
        with open_checkpoint(path) as checkpoint:
            names = list(checkpoint)
            outcome.listed = True
            if not sealed:
                assert sorted(names) == sorted(wanted)
            for name in names:
                _examine_tensor(checkpoint, name, wanted.get(name), sealed, outcome)
    except CheckpointError as error:
        outcome.errors[type(error).__name__] += 1
    return outcome


def _examine_tensor(checkpoint, name, value, sealed, outcome):
    for access in ("shape", "dtype", "read", "__getitem__"):
        try:
            found = getattr(checkpoint, access)(name)
        except CheckpointError as error:
            outcome.errors[type(error).__name__] += 1
            continue
        if access == "shape":
            shape = found
        elif access != "dtype":
            assert found.shape == shape
            assert found.dtype == checkpoint.dtype(name)
            if not sealed:
                assert_same(found, value, name)
            outcome.equal += value is not None and _is_same(found, value)


def _is_same(found, value):
    if found.dtype != value.dtype or found.shape != value.shape:
        return False
    if value.dtype == object:
        return found.tolist() == value.tolist()
    return found.tobytes() == value.tobytes()


def run(count, seed, folder):
    """Examine ``count`` damaged checkpoints; returns the figures.

    Raises:
        AssertionError: one gave wrong values, took too long or too much memory.
        Exception: whatever else than CheckpointError the reader raised.
    """
    originals = sources()
    names = sorted(originals)
    values = {name: expected(fixture_of(name)) for name in names}
    figures = collections.Counter()
    slowest, largest = 0.0, 0
    previous = signal.signal(signal.SIGALRM, _too_long)
    tracemalloc.start()
    try:
        for number in range(count):
            generator = random.Random(f"{seed}:{number}")
            name = names[number % len(names)]
            sealed = bool(number // len(names) % 2)
            files = (mutate_sealed if sealed else mutate_plain)(generator, originals[name])
            write(folder, files)
            tracemalloc.reset_peak() if hasattr(tracemalloc, "reset_peak") else None
            before = tracemalloc.get_traced_memory()[0]
            signal.alarm(SECONDS)
            start = time.perf_counter()
            try:
                outcome = examine(folder / path_of(name), values[name], sealed=sealed)
            except BaseException as error:
                raise AssertionError(f"seed {seed}, number {number}, {name}") from error
            finally:
                signal.alarm(0)
            slowest = max(slowest, time.perf_counter() - start)
            peak = tracemalloc.get_traced_memory()[1] - before
            largest = max(largest, peak)
            limit = BYTES + BYTES_PER_BYTE * sum(map(len, files.values()))
            if peak > limit:
                raise AssertionError(f"number {number}, {name}: {peak} bytes of {limit}")
            _count(figures, outcome, sealed)
    finally:
        tracemalloc.stop()
        signal.signal(signal.SIGALRM, previous)
    return figures, slowest, largest


def _count(figures, outcome, sealed):
    kind = "right checksums" if sealed else "plain damage"
    figures[f"{kind}: files"] += 1
    if not outcome.errors:
        figures[f"{kind}: files without an error"] += 1
    elif not outcome.listed:
        figures[f"{kind}: files refused when opened"] += 1
    else:
        figures[f"{kind}: files with an error at some tensor"] += 1
    figures[f"{kind}: tensors read equal"] += outcome.equal
    for error in outcome.errors:
        figures[f"{kind}: files with {error}"] += 1


def _too_long(signum, frame):
    raise TimeoutError(f"more than {SECONDS} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        figures, slowest, largest = run(arguments.count, arguments.seed, Path(folder) / "m")
    for name in sorted(figures):
        print(f"{name}: {figures[name]}")
    print(f"slowest: {slowest:.3f} s; most memory: {largest / 1e6:.2f} MB")
    print(f"{arguments.count} in {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
