"""Damaged checkpoints made by Hypothesis: correct values or CheckpointError, nothing else.

``python -m tests.fuzz_reader`` does the same for as many as one likes.
"""

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz_reader import examine, run, write
from tests.support.checkpoint_files import expected
from tests.support.mutations import fixture_of, mutate_plain, mutate_sealed, path_of, sources

ORIGINALS = sources()
CHANGES = {"plain": mutate_plain, "sealed": mutate_sealed}
# The same in every run; a database would make runs differ.
same_everywhere = settings(
    max_examples=int(os.environ.get("READER_FUZZ_EXAMPLES", 25)),
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.mark.parametrize("kind", CHANGES)
@pytest.mark.parametrize("name", sorted(ORIGINALS))
@same_everywhere
@given(random=st.randoms(use_true_random=False))
def test_a_damaged_checkpoint_gives_correct_values_or_a_checkpoint_error(
    tmp_path, name, kind, random
):
    folder = tmp_path / "m"
    write(folder, CHANGES[kind](random, ORIGINALS[name]))
    examine(folder / path_of(name), expected(fixture_of(name)), sealed=kind == "sealed")


@pytest.mark.parametrize("name", sorted(ORIGINALS))
def test_the_undamaged_checkpoints_are_read_whole(tmp_path, name):
    write(tmp_path / "m", ORIGINALS[name])
    wanted = expected(fixture_of(name))
    outcome = examine(tmp_path / "m" / path_of(name), wanted, sealed=False)
    assert not outcome.errors
    assert outcome.equal == 2 * len(wanted)


@pytest.mark.slow
def test_thousands_of_damaged_checkpoints_take_neither_long_nor_memory(tmp_path):
    count = int(os.environ.get("READER_FUZZ_COUNT", 2000))
    figures, slowest, _ = run(count, 1, tmp_path / "m")
    assert figures["plain damage: files"] + figures["right checksums: files"] == count
    for kind in ("plain damage", "right checksums"):
        for error in ("CheckpointFormatError", "CheckpointNotFoundError"):
            assert figures[f"{kind}: files with {error}"]
    assert slowest < 5
