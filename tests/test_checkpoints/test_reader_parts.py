"""The pieces of the reader that can be stated on their own: Snappy, keys of parts, covers."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmseg_deeplab_ext.checkpoints.storage import snappy
from mmseg_deeplab_ext.checkpoints.storage.slices import (
    WHOLE,
    Extent,
    check_cover,
    place,
    slice_key,
)
from mmseg_deeplab_ext.errors import CheckpointFormatError, CheckpointUnsupportedError
from tests.support import table_files

few = settings(max_examples=100, deadline=None, derandomize=True, database=None)


@few
@given(st.lists(st.tuples(st.binary(min_size=1, max_size=9), st.integers(1, 40)), max_size=20))
def test_what_is_compressed_comes_out_again(pieces):
    data = b"".join(piece * times for piece, times in pieces)
    assert snappy.decompress(table_files.snappy(data)) == data


# The third is a copy that reaches into itself.
@pytest.mark.parametrize(
    ("compressed", "data"),
    [
        (b"\x00", b""),
        (b"\x04\x0cabcd", b"abcd"),
        (b"\x0b\x04xy" + b"\x15\x02", b"xy" + b"xyxyxyxyx"),
    ],
)
def test_snappy_elements(compressed, data):
    assert snappy.decompress(compressed) == data


SNAPPY_DAMAGE = {
    "nothing": (b"", "cut off"),
    "claims a gigabyte": (b"\x80\x80\x80\x80\x04\x0cabcd", "at most"),
    "claims less": (b"\x03\x0cabcd", "of the claimed 3"),
    "claims more": (b"\x05\x0cabcd", "claims to hold 5 bytes, and holds 4"),
    "literal beyond the block": (b"\x08\x1cabcd", "literal of 8 bytes"),
    "length cut off": (b"\x08\xfcabc", "literal of"),
    "copy before the start": (b"\x08\x0cabcd\x01\x05", "5 bytes back, of 4"),
    "copy from here": (b"\x08\x0cabcd\x01\x00", "0 bytes back"),
    "copy cut off": (b"\x08\x0cabcd\x02\x01", "ends at 9"),
}


@pytest.mark.parametrize("case", SNAPPY_DAMAGE)
def test_a_damaged_snappy_block_is_a_format_error(case):
    data, shown = SNAPPY_DAMAGE[case]
    with pytest.raises(CheckpointFormatError, match=shown):
        snappy.decompress(data)


# As TensorFlow wrote them; the first two are in the fixtures.
@pytest.mark.parametrize(
    ("name", "part", "key"),
    [
        ("part/rows", [(0, 4), (0, 7)], "00 706172742f726f7773 0001 01 02 80 84 80 87"),
        ("part/tiles", [(2, 3), (65, 65)], "00 706172742f74696c6573 0001 01 02 82 83 c041 c041"),
        ("x", [(0, WHOLE)], "00 78 0001 01 01 80 7f"),
        ("x", [], "00 78 0001 00"),
        ("a\0b", [], "00 61 00ff 62 0001 00"),
        ("x", [(63, 64)], "00 78 0001 01 01 bf c040"),
        ("x", [(8191, 8192)], "00 78 0001 01 01 dfff e02000"),
        ("x", [(2**62 - 1, 2**63 - 1)], "00 78 0001 01 01 ffbfffffffffffffff ffc07fffffffffffffff"),
    ],
)
def test_keys_of_parts_are_those_of_tensorflow(name, part, key):
    assert slice_key(name, [Extent(*each) for each in part]).hex() == key.replace(" ", "")


@few
@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=2, max_size=30))
def test_keys_sort_as_the_numbers_they_hold(numbers):
    keys = [slice_key("x", [Extent(number, 0)]) for number in numbers]
    assert sorted(keys) == [slice_key("x", [Extent(number, 0)]) for number in sorted(numbers)]


def covered_once(parts, shape):
    counts = np.zeros(shape, int)
    for part in parts:
        counts[part] += 1
    return bool((counts == 1).all())


axis = st.sampled_from([slice(a, b) for a, b in itertools.combinations(range(4), 2)])


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(st.lists(st.tuples(axis, axis), max_size=5))
def test_parts_are_accepted_exactly_if_they_cover_each_place_once(parts):
    if covered_once(parts, (3, 3)):
        check_cover(parts, (3, 3))
    else:
        with pytest.raises(CheckpointFormatError, match="overlap, or do not fill"):
            check_cover(parts, (3, 3))


@pytest.mark.parametrize(
    ("parts", "shape"),
    [
        ([()], ()),
        ([(slice(0, 3),)], (3,)),
        ([(slice(0, 1),), (slice(1, 3),)], (3,)),
        ([(slice(0, 0),)], (0,)),
        (
            [(slice(0, 2), slice(0, 2)), (slice(0, 2), slice(2, 3)), (slice(2, 3), slice(0, 3))],
            (3, 3),
        ),
    ],
)
def test_covers_of_all_ranks_are_accepted(parts, shape):
    check_cover(parts, shape)


def test_a_tensor_cut_along_many_axes_is_unsupported():
    with pytest.raises(CheckpointUnsupportedError, match="cut along 9 axes"):
        check_cover([(slice(0, 1),) * 9], (2,) * 9)


def test_a_whole_axis_is_placed_by_the_shape():
    assert place([Extent(0, WHOLE), Extent(1, 2)], (4, 3)) == (slice(0, 4), slice(1, 3))
    with pytest.raises(CheckpointFormatError, match="1 axes of a tensor of shape"):
        place([Extent(0, WHOLE)], (4, 3))
