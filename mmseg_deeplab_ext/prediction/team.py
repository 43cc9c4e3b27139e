"""The processes that share the pictures of one run, and what they tell each other."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, Sequence

from torch.distributed import HashStore, Store

from mmseg_deeplab_ext.errors import PredictionError
from mmseg_deeplab_ext.launch.distributed import connect_store
from mmseg_deeplab_ext.prediction.pictures import Picture

_PORTION = 32
"""Pictures that a process takes at a time, at most: what the fastest waits for at the end."""

_PORTIONS = 16
"""Portions for each process, at least, while there are pictures enough."""

DONE = "done"
"""What counts the pictures that are predicted or have failed."""

WINDOWS = "windows"
"""What counts the windows of large pictures: a sign of life."""

_PAUSE = 0.5
"""Seconds between two looks at what the others have done."""

_SILENCE = 1800.0
"""Seconds without a picture or window done anywhere until the first process waits no longer."""


class Team:
    """One of the processes of a run; a run without a launcher has only this one.

    They meet at the key-value store of their launcher. Nothing else is shared: whoever is free
    takes the next few pictures, so that none waits for a slower one, and what a process has told
    remains when it dies.

    Args:
        launcher: What started them: ``none``, ``pytorch`` (torchrun), ``slurm`` or ``mpi``.

    Raises:
        ConfigError: The launcher's environment variables are missing.
    """

    def __init__(self, launcher: str = "none") -> None:
        self._store: Store
        if launcher == "none":
            self._store, self._rank, self.size = HashStore(), 0, 1
        else:
            self._store, self._rank, self.size = connect_store(launcher)
        self.leads = self._rank == 0

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """Let the first process through the block, then the others.

        What is wrong with a command is so said once; the others end if the first one fails.
        """
        if not self.leads and self._get("start") == "called off":
            raise SystemExit(1)
        try:
            yield
        except BaseException:
            if self.leads:
                self._set("start", "called off")
            raise

    def share(self, pictures: Sequence[Picture]) -> Iterator[Picture]:
        """Those of the first process's pictures that this process is to predict.

        They are taken while the iterator goes on.
        """
        if self.size == 1:
            return iter(pictures)
        if self.leads:
            size = max(1, min(_PORTION, len(pictures) // (_PORTIONS * self.size)))
            starts = range(0, len(pictures), size)
            for number, start in enumerate(starts):
                portion = pictures[start : start + size]
                self._set(f"portion/{number}", [[str(p.path), str(p.name)] for p in portion])
            self._set("portions", len(starts))
            self._set("start", "now")
        return self._taken()

    def _taken(self) -> Iterator[Picture]:
        portions = self._get("portions")
        while True:
            number = self.count("taken") - 1
            if number >= portions:
                return
            for path, name in self._get(f"portion/{number}"):
                yield Picture(Path(path), Path(name))

    def wait_for_the_others(self) -> Iterator[int]:
        """Called by each process when it is done; the first one goes on until all are.

        Yields:
            In the first process, how many pictures are done, twice a second and at the end.

        Raises:
            PredictionError: Nothing was done for long.
        """
        finished = self.count("finished")
        done, since = (-1, -1), time.monotonic()
        while self.leads and finished < self.size:
            before, done = done, (self.count(DONE, by=0), self.count(WINDOWS, by=0))
            if done != before:
                since = time.monotonic()
            elif time.monotonic() - since > _SILENCE:
                raise PredictionError(
                    f"{self.size - finished} of {self.size} processes have predicted nothing for "
                    f"{_SILENCE / 60:.0f} minutes: they have died, or hang. See their logs, and "
                    "repeat the command with --skip-existing."
                )
            yield done[0]
            time.sleep(_PAUSE)
            finished = self.count("finished", by=0)
        if self.leads:  # with Slurm the store may end with the first process, before the others
            yield self.count(DONE, by=0)

    def count(self, what: str, *, by: int = 1) -> int:
        """Add to a count that all processes share; returns what it is then."""
        with _store_is_there():
            return self._store.add(what, by)

    def note(self, what: str, value: Any) -> None:
        """Add a value, as JSON knows them, to a list that all processes share."""
        own = f"{what}/{self._rank}"
        # Counted last: what is counted is there.
        self._set(f"{own}/{self.count(own, by=0)}", value)
        self.count(own)

    def notes(self, what: str) -> list[Any]:
        """The values of such a list, by process."""
        lists = [f"{what}/{rank}" for rank in range(self.size)]
        return [
            self._get(f"{each}/{number}")
            for each in lists
            for number in range(self.count(each, by=0))
        ]

    def _set(self, key: str, value: Any) -> None:
        with _store_is_there():
            self._store.set(key, json.dumps(value))

    def _get(self, key: str) -> Any:
        """Wait for a value."""
        with _store_is_there():
            return json.loads(self._store.get(key))


@contextmanager
def _store_is_there() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # of torch.distributed, under several names
        raise PredictionError(
            f"The process that keeps the list of images is gone or does not answer: {error}"
        ) from error
