"""What TensorFlow does not write here: big-endian checkpoints, offsets of 64 bits, V1 integers."""

import struct

import numpy as np
import pytest
from crc32c import crc32c

from mmseg_deeplab_ext.checkpoints import CheckpointError, open_checkpoint
from mmseg_deeplab_ext.checkpoints.storage.format import NUMPY_DTYPES
from mmseg_deeplab_ext.checkpoints.storage.strings import lengths_as_checksummed
from tests.support.checkpoint_files import assert_same
from tests.support.table_files import entry, field, header, masked, message, table, varint

ORDERS = {"little": "<", "big": ">"}


def write(folder, tensors, order):
    """Write a V2 checkpoint in a byte order. tensors: {name: (type number, stored array)}."""
    data, entries = b"", [(b"", header(big_endian=order == ">"))]
    for name, (number, array) in sorted(tensors.items()):
        if array.dtype == object:
            content, crc = strings(list(array.flat), order)
        else:
            content = array.astype(array.dtype.newbyteorder(order)).tobytes()
            crc = crc32c(content)
        place = {"offset": len(data), "size": len(content), "crc": masked(crc)}
        entries.append((name.encode(), entry(number, array.shape, **place)))
        data += content
    (folder / "m.index").write_bytes(table([entries]))
    (folder / "m.data-00000-of-00001").write_bytes(data)
    return folder / "m"


def strings(items, order):
    """The bytes of a string tensor, and their checksum."""
    crc = crc32c(b"".join(struct.pack(f"{order}I", len(item)) for item in items))
    checksum = struct.pack(f"{order}I", masked(crc))
    joined = b"".join(items)
    lengths = b"".join(varint(len(item)) for item in items)
    return lengths + checksum + joined, crc32c(joined, crc32c(checksum, crc))


@pytest.mark.parametrize("order", ORDERS)
def test_every_type_is_read_in_both_byte_orders(tmp_path, order):
    random = np.random.RandomState(0)
    tensors = {
        f"type_{number}": (number, random.randint(0, 100, (3, 5)).astype(dtype))
        for number, dtype in NUMPY_DTYPES.items()
        if dtype != np.bool_
    }
    tensors["bool"] = (10, np.array([True, False]))
    tensors["complex64"] = (8, np.array([1 - 2j, 3], np.complex64))
    tensors["scalar"] = (2, np.array(-1.5))
    tensors["empty"] = (1, np.zeros((0, 3), np.float32))
    tensors["string"] = (7, np.array([b"", b"abc", b"x" * 200], object))
    tensors["bfloat16"] = (14, np.array([0x3F80, 0xC0A0], np.uint16))
    wanted = {name: array for name, (_, array) in tensors.items()}
    tensors["bfloat16/scalar"] = (14, np.array(0x4000, np.uint16))
    wanted["bfloat16/scalar"] = np.array(2, np.float32)
    wanted["bfloat16"] = np.array([1.0, -5.0], np.float32)
    with open_checkpoint(write(tmp_path, tensors, ORDERS[order])) as checkpoint:
        for name, value in wanted.items():
            assert checkpoint.dtype(name).isnative
            assert_same(checkpoint.read(name), value, name)
            assert_same(checkpoint[name], value, name)


@pytest.mark.parametrize("order", ORDERS)
def test_checksums_of_string_lengths_are_those_of_the_writers_byte_order(tmp_path, order):
    array = np.array([b"abc"], object)
    prefix = write(tmp_path, {"x": (7, array)}, ORDERS[order])
    index = tmp_path / "m.index"
    other = header(big_endian=order == "little")
    content, crc = strings([b"abc"], ORDERS[order])
    place = {"size": len(content), "crc": masked(crc)}
    index.write_bytes(table([[(b"", other), (b"x", entry(7, [1], **place))]]))
    with pytest.raises(CheckpointError, match="lengths of the strings"):
        open_checkpoint(prefix)["x"]


def test_lengths_beyond_32_bits_are_checksummed_as_64():
    lengths = [5, (1 << 32) - 1, 1 << 32]
    assert lengths_as_checksummed(lengths, "<") == struct.pack("<IIQ", *lengths)
    assert lengths_as_checksummed(lengths, ">") == struct.pack(">IIQ", *lengths)
    assert lengths_as_checksummed([], ">") == b""


def test_data_behind_4_gib_are_read(tmp_path):
    values = np.arange(1000, dtype=np.float32)
    offset = (1 << 32) + 4
    place = {"offset": offset, "size": 4000, "crc": masked(crc32c(values.tobytes()))}
    entries = [(b"", header()), (b"x", entry(1, [1000], **place))]
    (tmp_path / "m.index").write_bytes(table([entries]))
    with open(tmp_path / "m.data-00000-of-00001", "wb") as file:
        file.seek(offset)  # leaves a hole
        file.write(values.tobytes())
    with open_checkpoint(tmp_path / "m") as checkpoint:
        assert_same(checkpoint.read("x"), values, "x")
        assert_same(checkpoint["x"], values, "x")


V1_NUMBERS = {
    3: (7, np.array([-(2**31), -1, 0, 2**31 - 1], np.int32)),
    4: (7, np.array([0, 255], np.uint8)),
    5: (7, np.array([-(2**15), 2**15 - 1], np.int16)),
    6: (7, np.array([-128, 127], np.int8)),
    9: (10, np.array([-(2**63), 2**63 - 1, 300], np.int64)),
    10: (11, np.array([True, False])),
    12: (7, np.array([0, 200], np.uint8)),
    17: (7, np.array([0, 65535], np.uint16)),
    22: (16, np.array([0, 2**32 - 1], np.uint32)),
    23: (17, np.array([0, 2**64 - 1], np.uint64)),
}


def write_v1(folder, number, values, shape):
    """Write a V1 file with one tensor, x; values is a TensorProto."""
    dims = b"".join(field(2, field(1, size)) for size in shape)
    extents = field(1, b"") * len(shape)
    meta = message((1, b"x"), (2, dims), (3, number), (4, extents))
    record = message((1, b"x"), (2, extents), (3, values))
    rank = varint(1) + varint(len(shape)) if shape else b"\0"
    key = b"\0x\0\1" + rank + b"\x80\x7f" * len(shape)
    (folder / "m").write_bytes(table([[(b"", field(1, field(1, meta))), (key, field(2, record))]]))
    return folder / "m"


@pytest.mark.parametrize("number", V1_NUMBERS)
def test_v1_integers_of_every_width_and_sign_are_read(tmp_path, number):
    place, values = V1_NUMBERS[number]
    packed = b"".join(varint(int(value)) for value in values)
    half = len(packed) - len(varint(int(values[-1])))
    for content in (
        field(place, packed),
        field(place, packed[:half]) + field(place, packed[half:]),
    ):
        path = write_v1(tmp_path, number, content, values.shape)
        assert_same(open_checkpoint(path)["x"], values, number)


V1_WRONG = {
    "uint8": (4, 7, varint(256)),
    "int8": (6, 7, varint(-129)),
    "int32": (3, 7, varint(2**31)),
    "bool": (10, 11, varint(2)),
    "float16": (19, 13, varint(65536)),
    "uint32": (22, 16, varint(2**32)),
    "long": (9, 10, b"\xff" * 10 + b"\x01"),
    "cut": (9, 10, b"\x01\xff"),
    "too many": (9, 10, b"\x01\x02"),
    "too few": (9, 10, b""),
}


@pytest.mark.parametrize("case", V1_WRONG)
def test_v1_numbers_that_do_not_fit_their_type_are_an_error(tmp_path, case):
    number, place, packed = V1_WRONG[case]
    path = write_v1(tmp_path, number, field(place, packed), (1,))
    with pytest.raises(CheckpointError, match="'x'"):
        open_checkpoint(path)["x"]


def test_a_v1_scalar_and_an_empty_tensor_are_read(tmp_path):
    path = write_v1(tmp_path, 1, field(5, struct.pack("<f", 2.5)), ())
    assert_same(open_checkpoint(path)["x"], np.array(2.5, np.float32), "x")
    path = write_v1(tmp_path, 9, b"", (0, 3))
    assert_same(open_checkpoint(path)["x"], np.zeros((0, 3), np.int64), "x")
