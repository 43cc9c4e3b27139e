"""The memory at the worst moment of a piece of work."""

from __future__ import annotations

from typing import Any, Callable

import torch


def peak_bytes(work: Callable[[], Any], *owners: Any) -> int:
    """Bytes at the worst moment of ``work``.

    On a GPU, PyTorch's allocator counts; on the CPU its MemTracker adds up the tensors that are
    alive (PyTorch 2.5 or newer).

    Args:
        work: what to run.
        owners: modules and optimizers that hold tensors before it.
    """
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        work()
        return torch.cuda.max_memory_allocated()
    from torch.distributed._tools.mem_tracker import MemTracker

    tracker = MemTracker()
    tracker.track_external(*owners)
    with tracker:
        work()
    (snapshot,) = tracker.get_tracker_snapshot("peak").values()
    return snapshot["Total"]
