"""Table files taken apart and put together, with whatever is wrong that a test wants."""

import struct

from crc32c import crc32c

MAGIC = bytes.fromhex("57fb808b247547db")
FOOTER = 48


def masked(crc):
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def varint(number):
    """A number as protocol buffers and tables store it; negative ones in two's complement."""
    number &= (1 << 64) - 1
    groups = []
    while True:
        groups.append(number & 0x7F)
        number >>= 7
        if not number:
            return bytes(group | 0x80 for group in groups[:-1]) + bytes(groups[-1:])


def field(number, value):
    """A field of a message: a varint, or bytes."""
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    return varint(number << 3) + varint(value)


def fixed32(number, value):
    """A field of four bytes."""
    return varint(number << 3 | 5) + struct.pack("<I", value)


def message(*fields):
    """(number, value) pairs, one after the other."""
    return b"".join(field(number, value) for number, value in fields)


def shape_message(sizes):
    """A TensorShapeProto."""
    return message(*((2, message((1, size))) for size in sizes))


def entry(dtype, shape, *, offset=0, size=0, crc=0, shard=0, extra=b""):
    """A BundleEntryProto."""
    numbers = message((1, dtype), (2, shape_message(shape)), (3, shard), (4, offset), (5, size))
    return numbers + fixed32(6, crc) + extra


def header(*, shards=1, big_endian=False):
    """A BundleHeaderProto."""
    return message((1, shards), (2, int(big_endian)), (3, message((1, 1))))


def block(entries, restarts=(0,)):
    """A block whose keys are all complete."""
    content = b"".join(
        varint(0) + varint(len(key)) + varint(len(value)) + key + value for key, value in entries
    )
    return content + struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))


def sealed(content, compression=0):
    """A block with its trailer."""
    typed = content + bytes([compression])
    return typed + struct.pack("<I", masked(crc32c(typed)))


def footer(metaindex, index):
    """The footer with two handles, each (offset, size)."""
    handles = b"".join(varint(number) for handle in (metaindex, index) for number in handle)
    return handles.ljust(FOOTER - len(MAGIC), b"\0") + MAGIC


def table(blocks, *, compress=None):
    """A table of data blocks, each a list of (key, value).

    Args:
        blocks: the data blocks.
        compress: None, or what compresses a block's bytes to Snappy.
    """
    data, handles = b"", []
    for entries in blocks:
        content = block(entries)
        content, kind = (compress(content), 1) if compress else (content, 0)
        handles.append((entries[-1][0], varint(len(data)) + varint(len(content))))
        data += sealed(content, kind)
    metaindex = (len(data), len(block([])))
    data += sealed(block([]))
    restarts = [0]
    for key, handle in handles[:-1]:
        restarts.append(restarts[-1] + len(varint(len(key))) + 2 + len(key) + len(handle))
    content = block(handles, restarts)
    return data + sealed(content) + footer(metaindex, (len(data), len(content)))


def read_number(data, position):
    """A varint of a sound file, and the position after it."""
    number = shift = 0
    while True:
        byte = data[position]
        position += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return number, position


def handles_of(data):
    """(offset, size) of all blocks of a sound table, the index block last."""
    position = len(data) - FOOTER
    numbers = []
    for _ in range(4):
        number, position = read_number(data, position)
        numbers.append(number)
    metaindex, index = tuple(numbers[:2]), tuple(numbers[2:])
    handles = []
    for _, value in entries_of(data[index[0] : sum(index)]):
        offset, position = read_number(value, 0)
        handles.append((offset, read_number(value, position)[0]))
    return [*handles, metaindex, index]


def entries_of(content):
    """(key, value) of a sound block."""
    (count,) = struct.unpack("<I", content[-4:])
    end = len(content) - 4 * (count + 1)
    position, key, entries = 0, b"", []
    while position < end:
        shared, position = read_number(content, position)
        rest, position = read_number(content, position)
        size, position = read_number(content, position)
        key = key[:shared] + content[position : position + rest]
        position += rest
        entries.append((key, content[position : position + size]))
        position += size
    return entries


def all_entries(data):
    """(key, value) of a sound table."""
    handles = handles_of(data)[:-2]
    return [each for offset, size in handles for each in entries_of(data[offset : offset + size])]


def resealed(data, handles):
    """A table with the checksums of the blocks at ``handles`` made right."""
    data = bytearray(data)
    for offset, size in handles:
        end = offset + size + 1
        data[end : end + 4] = struct.pack("<I", masked(crc32c(bytes(data[offset:end]))))
    return bytes(data)


def snappy(data):
    """Compress to Snappy: copies of four bytes or more, with all three kinds of copy elements."""
    out, seen, start, position = bytearray(varint(len(data))), {}, 0, 0
    while position < len(data):
        before = seen.get(data[position : position + 4])
        seen[data[position : position + 4]] = position
        length = 0
        while (
            before is not None
            and length < 64
            and position + length < len(data)
            and data[before + length] == data[position + length]
        ):
            length += 1
        if length < 4:
            position += 1
            continue
        out += _literals(data[start:position]) + _copy(position - before, length, position)
        position += length
        start = position
    return bytes(out + _literals(data[start:]))


def _literals(data):
    if not data:
        return b""
    length = len(data) - 1
    if length < 60:
        return bytes([length << 2]) + data
    size = (length.bit_length() + 7) // 8
    return bytes([(59 + size) << 2]) + length.to_bytes(size, "little") + data


def _copy(offset, length, position):
    if length < 12 and offset < 2048:
        return bytes([(offset >> 8) << 5 | (length - 4) << 2 | 1, offset & 0xFF])
    if offset < 65536 and position % 2:
        return bytes([(length - 1) << 2 | 2]) + offset.to_bytes(2, "little")
    return bytes([(length - 1) << 2 | 3]) + offset.to_bytes(4, "little")
