"""Damaged checkpoints: each kind of damage is a typed error that says where and what."""

import os
import struct
import tracemalloc

import pytest
from crc32c import crc32c

from mmseg_deeplab_ext.checkpoints import open_checkpoint
from mmseg_deeplab_ext.checkpoints.storage.slices import Extent, slice_key
from mmseg_deeplab_ext.errors import (
    CheckpointChecksumError,
    CheckpointError,
    CheckpointFormatError,
    CheckpointNotFoundError,
    CheckpointUnsupportedError,
)
from tests.support.checkpoint_files import copy_fixture, expected, files_of
from tests.support.table_files import (
    all_entries,
    entry,
    field,
    footer,
    handles_of,
    header,
    masked,
    message,
    resealed,
    sealed,
    shape_message,
    snappy,
    table,
    varint,
)
from tests.support.table_files import block as make_block

FLOATS = struct.pack("<4f", 1, 2, 3, 4)
SOUND = entry(1, [4], size=16, crc=masked(crc32c(FLOATS)))


def write(folder, index, data=FLOATS):
    """Write a V2 checkpoint; index is the table's bytes, or its entries without the header."""
    if not isinstance(index, bytes):
        index = table([[(b"", header()), *index]])
    (folder / "m.index").write_bytes(index)
    (folder / "m.data-00000-of-00001").write_bytes(data)
    return folder / "m"


def read_all(path):
    with open_checkpoint(path) as checkpoint:
        return {name: checkpoint.read(name) for name in checkpoint}


def test_the_checkpoint_that_the_others_are_made_from_is_sound(tmp_path):
    assert read_all(write(tmp_path, [(b"x", SOUND)]))["x"].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("fixture", ["v2", "v1.ckpt"])
def test_any_bit_of_a_block_that_flips_is_a_checksum_error(tmp_path, fixture):
    prefix = copy_fixture(fixture, tmp_path)
    path = tmp_path / ("v2.index" if fixture == "v2" else fixture)
    sound = path.read_bytes()
    for offset, size in handles_of(sound)[:-2]:
        for at in (offset, offset + size // 2, offset + size, offset + size + 4):
            damaged = bytearray(sound)
            damaged[at] ^= 0x10
            path.write_bytes(damaged)
            with pytest.raises(CheckpointChecksumError) as caught:
                read_all(prefix)
            assert str(path) in str(caught.value)
            assert f"offset {offset}" in str(caught.value)
            assert "should be 0x" in str(caught.value)


def test_a_flipped_bit_of_data_names_file_tensor_offset_and_both_checksums(tmp_path):
    data = bytearray(FLOATS)
    data[5] ^= 1
    prefix = write(tmp_path, [(b"net/x", SOUND)], bytes(data))
    with pytest.raises(CheckpointChecksumError) as caught:
        read_all(prefix)
    shown = str(caught.value)
    for part in (f"{prefix}.data-00000-of-00001", "'net/x'", "offset 0", "16 bytes"):
        assert part in shown
    assert f"{masked(crc32c(FLOATS)):#010x}" in shown
    assert f"{masked(crc32c(bytes(data))):#010x}" in shown


@pytest.mark.parametrize("fixture", ["v2", "v2_sharded", "v1.ckpt", "v1_sharded", "objects"])
def test_a_file_that_is_cut_off_anywhere_is_an_error(tmp_path, fixture):
    prefix = copy_fixture(fixture, tmp_path)
    for source in files_of(fixture):
        path = tmp_path / source.name
        sound = path.read_bytes()
        for size in {0, 1, 47, 48, len(sound) // 2, len(sound) - 1}:
            if size < len(sound):
                path.write_bytes(sound[:size])
                with pytest.raises((CheckpointFormatError, CheckpointNotFoundError)) as caught:
                    read_all(prefix)
                assert str(tmp_path) in str(caught.value)
        path.write_bytes(sound)
    assert sorted(read_all(prefix)) == sorted(expected(fixture))


def test_each_missing_file_is_named(tmp_path):
    for fixture in ("v2", "v2_sharded", "v1_sharded"):
        for source in files_of(fixture):
            prefix = copy_fixture(fixture, tmp_path)
            os.remove(tmp_path / source.name)
            with pytest.raises(CheckpointNotFoundError, match=source.name.split(".index")[0]):
                read_all(prefix)


def test_a_file_shortened_while_it_is_open_is_an_error(tmp_path):
    prefix = write(tmp_path, [(b"x", SOUND)])
    with open_checkpoint(prefix) as checkpoint:
        assert checkpoint["x"].tolist() == checkpoint.read("x").tolist()
        os.truncate(f"{prefix}.data-00000-of-00001", 3)
        with pytest.raises(CheckpointFormatError, match=r"'x'.*cut off"):
            checkpoint.read("x")
        with pytest.raises(CheckpointFormatError, match="had 16 bytes when it was opened"):
            checkpoint["x"]


HUGE = 1 << 62
CONTRADICTIONS = {
    "size and shape": (entry(1, [5], size=16), "takes 20 bytes, and the size 16"),
    "size and type": (entry(2, [4], size=16), "takes 32 bytes, and the size 16"),
    "beyond the file": (entry(1, [4], size=16, offset=1), "16 bytes wanted, and the file has 16"),
    "far beyond the file": (entry(1, [HUGE // 16], size=HUGE // 4), "the file has 16"),
    "strings without room": (entry(7, [HUGE // 16], size=16), "can't hold"),
    "negative dimension": (entry(1, [-4], size=16), "negative dimension"),
    "too many elements": (entry(1, [1 << 40, 1 << 40], size=16), "more elements than"),
    "too many, but for a zero": (entry(1, [0, HUGE, HUGE]), "more elements than"),
    "unknown rank": (entry(1, [], size=4, extra=field(2, message((3, 1)))), "its is unknown"),
    "negative offset": (entry(1, [4], size=16, offset=-1), "offset -1"),
    "negative size": (entry(1, [4], size=-16), "-16 bytes"),
    "no such data file": (entry(1, [4], size=16, shard=1), "data file 1, of 1"),
    "wrong kind of field": (field(1, b"x"), "field 1 of kind bytes"),
    "length beyond its message": (varint(2 << 3 | 2) + varint(HUGE), "its message at 10"),
    "a number of 11 bytes": (b"\x08" + b"\xff" * 11, "longer than 10 bytes"),
    "a number of 70 bits": (b"\x08" + b"\xff" * 9 + b"\x7f", "larger than 64 bits"),
    "a cut number": (b"\x08\x80", "cut off"),
    "a group": (b"\x0b", "field 1 of kind 3"),
    "field zero": (b"\x00\x00", "field 0"),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_an_entry_that_contradicts_itself_or_the_files_is_a_format_error(tmp_path, case):
    data, shown = CONTRADICTIONS[case]
    prefix = write(tmp_path, [(b"x", data)])
    with pytest.raises(CheckpointFormatError) as caught:
        read_all(prefix)
    assert shown in str(caught.value)
    assert str(prefix) in str(caught.value)
    assert "'x'" in str(caught.value)


@pytest.mark.parametrize(
    ("number", "name"), [(20, "resource"), (21, "variant"), (0, "unknown"), (-1, "unknown")]
)
def test_an_unsupported_type_is_an_error_of_its_tensor_only(tmp_path, number, name):
    prefix = write(tmp_path, [(b"x", SOUND), (b"y", entry(number, [4], offset=16))])
    with open_checkpoint(prefix) as checkpoint:
        assert checkpoint["x"].tolist() == [1, 2, 3, 4]
        for use in (checkpoint.read, checkpoint.__getitem__, checkpoint.shape, checkpoint.dtype):
            with pytest.raises(CheckpointUnsupportedError, match=rf"'y'.* {number} \({name}\)"):
                use("y")


def test_more_dimensions_than_numpy_has_are_unsupported(tmp_path):
    with pytest.raises(CheckpointUnsupportedError, match="40 dimensions"):
        read_all(write(tmp_path, [(b"x", entry(1, [1] * 40, size=4))]))


def test_tensors_that_share_bytes_are_an_error_that_names_both(tmp_path):
    overlapping = entry(1, [2], offset=12, size=8, crc=0)
    with pytest.raises(CheckpointFormatError, match=r"b'x' and b'y' overlap.*at 16.*at 12"):
        read_all(write(tmp_path, [(b"x", SOUND), (b"y", overlapping)], FLOATS * 2))


def test_a_bool_that_is_neither_0_nor_1_is_an_error(tmp_path):
    prefix = write(tmp_path, [(b"x", entry(10, [2], size=2, crc=masked(crc32c(b"\1\2"))))], b"\1\2")
    for use in ("read", "__getitem__"):
        with open_checkpoint(prefix) as checkpoint:
            with pytest.raises(CheckpointFormatError, match="one is 2"):
                getattr(checkpoint, use)("x")


def test_string_lengths_have_a_checksum_of_their_own(tmp_path):
    prefix = copy_fixture("v2", tmp_path)
    data = tmp_path / "v2.data-00000-of-00001"
    sound = data.read_bytes()
    start = sound.index(b"\x00\x01\x05\xac\x02\x02\x04")
    for at, what in ((start, "strings"), (start + 1, "lengths"), (start + 12, "strings")):
        damaged = bytearray(sound)
        damaged[at] ^= 2
        data.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=what), open_checkpoint(prefix) as checkpoint:
            checkpoint["types/string"]


HEADERS = {
    "no data files": (header(shards=0), CheckpointFormatError, "0 data files"),
    "negative": (header(shards=-1), CheckpointFormatError, "-1 data files"),
    "byte order": (message((1, 1), (2, 7)), CheckpointFormatError, "byte order 7"),
    "newer": (message((1, 1), (3, message((2, 2)))), CheckpointUnsupportedError, "version 2"),
    "excluded": (message((1, 1), (3, message((3, 1)))), CheckpointUnsupportedError, "excludes"),
}


@pytest.mark.parametrize("case", HEADERS)
def test_an_impossible_header_is_an_error(tmp_path, case):
    data, error, shown = HEADERS[case]
    with pytest.raises(error, match=shown):
        open_checkpoint(write(tmp_path, table([[(b"", data), (b"x", SOUND)]])))


def test_a_table_without_a_header_is_no_checkpoint(tmp_path):
    data = table([[(b"x", SOUND)]])
    for path in (write(tmp_path, data), tmp_path / "v1"):
        (tmp_path / "v1").write_bytes(data)
        with pytest.raises(CheckpointFormatError, match="empty key"):
            open_checkpoint(path)


def test_a_key_that_is_no_utf_8_is_an_error(tmp_path):
    with pytest.raises(CheckpointFormatError, match="not UTF-8"):
        open_checkpoint(write(tmp_path, [(b"x\xff", SOUND)]))


# Tables whose checksums are right, and whose content is not. A block is a list of (key, value).
ENTRIES = [(b"", header()), (b"x", SOUND)]
GOOD = make_block(ENTRIES)
OTHER = (b"k", SOUND)


def _with_index(index_entries, blocks=(GOOD,), restarts=None):
    """A table whose index block is given, after the given data blocks."""
    data = b"".join(map(sealed, blocks))
    metaindex = (len(data), len(make_block([])))
    data += sealed(make_block([]))
    if restarts is None:
        content = make_block(index_entries)
    else:
        content = make_block(index_entries, restarts)
    return data + sealed(content) + footer(metaindex, (len(data), len(content)))


def _handle(offset, size):
    return varint(offset) + varint(size)


def _table_of(content):
    return _with_index([(b"x", _handle(0, len(content)))], [content])


TABLES = {
    "block beyond the file": (
        _with_index([(b"x", _handle(HUGE, len(GOOD)))]),
        f"offset {HUGE}: a block of {len(GOOD)} bytes ends after",
    ),
    "block larger than the file": (_with_index([(b"x", _handle(0, HUGE))]), "ends after"),
    "block in the footer": (table([ENTRIES])[:-48] + footer((0, 1), (9, HUGE)), "ends after"),
    "two entries for one block": (
        _with_index([(b"x", _handle(0, len(GOOD))), (b"y", _handle(0, len(GOOD)))]),
        "starts inside or before",
    ),
    "index that refers to itself": (
        _with_index([(b"x", _handle(len(GOOD) + 5 + 13, 10))]),
        "starts inside or before",
    ),
    "metaindex in a block": (
        table([ENTRIES])[:-48] + footer((1, 8), handles_of(table([ENTRIES]))[-1]),
        "starts inside or before",
    ),
    "handle with a rest": (_with_index([(b"x", _handle(0, len(GOOD)) + b"\0")]), "end after"),
    "handle cut off": (_with_index([(b"x", b"\x80")]), "cut off"),
    "keys after the index's": (_with_index([(b"a", _handle(0, len(GOOD)))]), "not between"),
    "keys before the index's": (
        _with_index(
            [
                (b"m", _handle(0, len(GOOD))),
                (b"z", _handle(len(GOOD) + 5, len(make_block([OTHER])))),
            ],
            [make_block([(b"", header()), (b"b", SOUND)]), make_block([OTHER])],
        ),
        "are not between those that the index gives, b'm'",
    ),
    "block without entries": (_table_of(make_block([])), "without entries"),
    "keys that do not ascend": (_table_of(make_block(ENTRIES[::-1])), "should ascend"),
    "one key twice": (_table_of(make_block([*ENTRIES, ENTRIES[1]])), "should ascend"),
    "restart in an entry": (_table_of(make_block(ENTRIES, (0, 3))), "restarts should be"),
    "more restarts than room": (_table_of(GOOD[:-4] + struct.pack("<I", 1 << 31)), "can't hold"),
    "block of two bytes": (_table_of(b"\0\0"), "can't hold"),
    "key that shares too much": (_table_of(b"\x01\0\0" + struct.pack("<II", 0, 1)), "shares 1"),
    "key beyond the block": (_table_of(b"\0\x7f\0" + struct.pack("<II", 0, 1)), "ends at 130"),
    "value beyond the block": (
        _table_of(b"\0\0" + varint(HUGE) + struct.pack("<II", 0, 1)),
        f"ends at {HUGE + 11}",
    ),
    "keys that share more and more": (
        _table_of(
            b"".join(varint(number) + b"\1\0k" for number in range(3000)) + struct.pack("<II", 0, 1)
        ),
        "64 times the block's size",
    ),
    "no magic": (table([ENTRIES])[:-1] + b"\0", "ends with 57fb"),
    "something after the end": (table([ENTRIES]) + b"\0", "ends with 57fb"),
}


@pytest.mark.parametrize("case", TABLES)
def test_a_table_that_contradicts_itself_is_a_format_error_although_checksums_fit(tmp_path, case):
    data, shown = TABLES[case]
    prefix = write(tmp_path, data)
    with pytest.raises(CheckpointFormatError) as caught:
        read_all(prefix)
    assert shown in str(caught.value)
    assert f"{prefix}.index" in str(caught.value)


def test_unknown_compression_is_unsupported(tmp_path):
    data = bytearray(table([ENTRIES]))
    offset, size = handles_of(data)[0]
    data[offset + size] = 2
    with pytest.raises(CheckpointUnsupportedError, match="compression 2"):
        open_checkpoint(write(tmp_path, resealed(data, handles_of(data))))


def test_snappy_blocks_are_read_and_their_damage_is_an_error(tmp_path):
    weights = bytes(range(64)) * 32
    entries = [(b"", header())] + [
        (f"layer_{number:03d}/weights".encode(), entry(1, [512], size=2048, offset=2048 * number))
        for number in range(60)
    ]
    crc = masked(crc32c(weights))
    entries = [(key, value[:-5] + value[-5:-4] + struct.pack("<I", crc)) for key, value in entries]
    entries[0] = (b"", header())
    compressed = table([entries[:31], entries[31:]], compress=snappy)
    assert len(compressed) < len(table([entries[:31], entries[31:]])) / 2
    values = read_all(write(tmp_path, compressed, weights * 60))
    assert len(values) == 60
    assert all(value.tobytes() == weights for value in values.values())
    claims_more = bytearray(compressed)
    claims_more[1] += 1
    with pytest.raises(CheckpointFormatError, match="Snappy block claims"):
        open_checkpoint(write(tmp_path, resealed(claims_more, handles_of(claims_more))))


def v1(folder, metas, records):
    """Write a V1 file of hand-made messages."""
    listed = message((1, message(*((1, meta) for meta in metas), (2, message((1, 1))))))
    (folder / "m").write_bytes(table([[(b"", listed), *records]]))
    return folder / "m"


KEY = b"\0x\0\1\1\1\x80\x7f"  # "x", one axis from 0, whole
META = message((1, b"x"), (2, shape_message([3])), (3, 1), (4, message((1, b""))))
VALUES = message((5, struct.pack("<3f", 1, 2, 3)))
WHOLE_AXIS = message((1, b""))


def v1_record(name=b"x", part=WHOLE_AXIS, values=VALUES):
    return message((2, message((1, name), (2, part), (3, values))))


V1_DAMAGE = {
    "no record": ([META], [(KEY[:-1] + b"\x85", b"")], "no record of it"),
    "too few values": (
        [META],
        [(KEY, v1_record(values=message((5, struct.pack("<f", 1)))))],
        "holds 1 values, and the tensor's shape takes 3",
    ),
    "no values": ([META], [(KEY, v1_record(values=b""))], "holds 0 values"),
    "no tensor": ([META], [(KEY, message((2, message((1, b"x")))))], "has no values"),
    "a giant": (
        [message((1, b"x"), (2, shape_message([HUGE // 16])), (3, 1), (4, message((1, b""))))],
        [(KEY, v1_record())],
        "holds 3 values",
    ),
    "a giant of strings": (
        [message((1, b"x"), (2, shape_message([HUGE // 16])), (3, 7), (4, message((1, b""))))],
        [(KEY, v1_record())],
        "holds 0 values",
    ),
    "half a value": ([META], [(KEY, v1_record(values=message((5, b"12345"))))], "holds 1.25"),
    "of another tensor": ([META], [(KEY, v1_record(name=b"y"))], "its record is of 'y'"),
    "of another part": (
        [META],
        [(KEY, v1_record(part=message((1, message((1, 1))))))],
        "of another part",
    ),
    "listed twice": ([META, META], [(KEY, v1_record())], "listed twice"),
    "no parts": ([META[: META.rindex(b"\x22")]], [(KEY, v1_record())], "do not fill"),
    "unpacked": ([META], [(KEY, v1_record(values=message((5, 3))))], "field 5 of kind varint"),
}


@pytest.mark.parametrize("case", V1_DAMAGE)
def test_a_v1_record_that_contradicts_the_list_is_a_format_error(tmp_path, case):
    metas, records, shown = V1_DAMAGE[case]
    path = v1(tmp_path, metas, records)
    with pytest.raises(CheckpointFormatError) as caught:
        read_all(path)
    assert shown in str(caught.value)
    assert "'x'" in str(caught.value)


def test_the_v1_file_that_the_others_are_made_from_is_sound(tmp_path):
    assert read_all(v1(tmp_path, [META], [(KEY, v1_record())]))["x"].tolist() == [1, 2, 3]


def test_v1_types_that_tensorflow_does_not_write_are_unsupported(tmp_path):
    meta = message((1, b"x"), (2, shape_message([3])), (3, 14), (4, message((1, b""))))
    with pytest.raises(CheckpointUnsupportedError, match="type 14 in a V1"):
        read_all(v1(tmp_path, [meta], [(KEY, v1_record())]))


def test_a_v1_list_in_no_file_or_for_newer_readers_is_an_error(tmp_path):
    (tmp_path / "m").write_bytes(table([[(b"", field(2, b""))]]))
    with pytest.raises(CheckpointFormatError, match="lists no tensors"):
        open_checkpoint(tmp_path / "m")
    (tmp_path / "m").write_bytes(table([[(b"", field(1, field(2, field(2, 9))))]]))
    with pytest.raises(CheckpointUnsupportedError, match="version 9"):
        open_checkpoint(tmp_path / "m")


def test_shards_of_a_v1_checkpoint_must_agree(tmp_path):
    for number, size in enumerate([3, 4]):
        meta = message((1, b"x"), (2, shape_message([size])), (3, 1))
        path = v1(tmp_path, [meta], [])
        path.rename(tmp_path / f"s-0000{number}-of-00002")
    with pytest.raises(CheckpointFormatError, match=r"00001-of-00002.*\[4\].*another file \[3\]"):
        open_checkpoint(tmp_path / "s")


PART_DAMAGE = {
    "overlap": ([(0, 3), (2, 2)], "overlap, or do not fill"),
    "gap": ([(0, 1), (2, 2)], "overlap, or do not fill"),
    "one twice": ([(0, 2), (0, 2)], "overlap, or do not fill"),
    "outside": ([(0, 2), (2, 3)], "not inside"),
    "negative": ([(-1, 5)], "not inside"),
}


@pytest.mark.parametrize("case", PART_DAMAGE)
def test_parts_that_do_not_fit_together_are_a_format_error(tmp_path, case):
    ranges, shown = PART_DAMAGE[case]
    parts = b"".join(field(7, field(1, message((1, a), (2, n)))) for a, n in ranges)
    with pytest.raises(CheckpointFormatError) as caught:
        read_all(write(tmp_path, [(b"x", entry(1, [4], extra=parts))]))
    assert shown in str(caught.value)
    assert "'x'" in str(caught.value)


def test_memory_for_a_whole_is_taken_only_when_all_its_bytes_are_there(tmp_path):
    half = 1 << 24
    parts, entries = b"", []
    for number in range(2):
        extent = Extent(number * half, half)
        parts += field(7, field(1, message((1, extent.start), (2, half))))
        place = {"offset": 4 * extent.start, "size": 4 * half}
        entries.append((slice_key("x", [extent]), entry(1, [half], **place)))
    prefix = write(tmp_path, [*entries, (b"x", entry(1, [2 * half], extra=parts))])
    with open_checkpoint(prefix) as checkpoint:
        assert checkpoint.shape("x") == (2 * half,)
        tracemalloc.start()
        try:
            with pytest.raises(CheckpointFormatError, match="the file has 16"):
                checkpoint.read("x")
            assert tracemalloc.get_traced_memory()[1] < 1 << 20
        finally:
            tracemalloc.stop()


def test_parts_are_checked_against_the_whole(tmp_path):
    prefix = copy_fixture("v2", tmp_path)
    index = tmp_path / "v2.index"
    entries = all_entries(index.read_bytes())
    for number, (key, value) in enumerate(entries):
        if not key.startswith(b"\0part/rows"):
            continue
        for changed, shown in ((value[2:], "element type 0"), (None, "no entry for the part")):
            replaced = [] if changed is None else [(key, changed)]
            index.write_bytes(table([entries[:number] + replaced + entries[number + 1 :]]))
            with pytest.raises(CheckpointFormatError, match=shown):
                read_all(prefix)
