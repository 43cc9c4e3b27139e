"""Read label maps before a run, so that wrong label values are known before any work is done.

A setting that fits no file (labels from 1 on, colours, another `reduce_zero_label`, fewer classes)
shows in the first few; a single bad file shows when all are read.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Sequence

from mmseg_deeplab_ext.config_view import ConfigView, pipeline_steps, step_name
from mmseg_deeplab_ext.errors import DatasetError
from mmseg_deeplab_ext.launch.checked_loading import checked_loader
from mmseg_deeplab_ext.registry import DATASETS

_FILES_READ = 32
"""How many label maps of a data set are read where not all are."""

_FILES_NAMED = 5
_THREADS = 8


def check_labels(view: ConfigView, *, every: bool = False, share: tuple[int, int] = (0, 1)) -> int:
    """Load label maps of a config's data sets as the run will, through their own checks.

    Those of data sets whose classes are unknown, or on remote storage, are not read; of the others
    ``every`` one, else 32 of each data set, evenly spread. With ``every``, a process reads its
    ``share``: (this process, number of processes).

    Returns how many label maps were read. What is wrong with the first few of each data set is in
    the message of a DatasetError.
    """
    read, problems = 0, []
    for part in view.datasets:
        leaf = checked_loader({"dataset": part.config}, ignore_index=view.ignore_index)["dataset"]
        found = pipeline_steps(leaf["pipeline"])
        steps = [step for step in found if step_name(step) == "CheckedLoadAnnotations"]
        if not steps or not part.is_local:
            continue
        dataset = DATASETS.build({**leaf, "pipeline": steps[:1], "lazy_init": False})
        numbers = range(share[0], len(dataset), share[1]) if every else _spread(len(dataset))
        with ThreadPoolExecutor(_THREADS) as pool:
            bad = list(filter(None, pool.map(partial(_problem, dataset), numbers)))
        read += len(numbers)
        if bad:
            problems += [*bad[:_FILES_NAMED], _count(len(bad), len(numbers), len(dataset))]
    if problems:
        raise DatasetError("\n".join(problems))
    return read


def _spread(length: int) -> Sequence[int]:
    count = min(length, _FILES_READ)
    return [number * length // count for number in range(count)]


def _problem(dataset: Any, number: int) -> str | None:
    try:
        dataset.prepare_data(number)
    except DatasetError as error:
        return str(error)
    return None


def _count(bad: int, read: int, length: int) -> str:
    all_read = "" if read == length else f" (of {length}; --check-labels reads all)"
    return f"{bad} of the {read} label maps that were read{all_read} are bad."
