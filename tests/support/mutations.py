"""Checkpoints with something changed, for showing that the reader takes it or refuses it.

A checkpoint is a dict {file name: bytes}. Every choice comes from a ``random.Random``, so that the
same seed (or Hypothesis) makes the same checkpoint again.

Plain mutations change bytes, as a bad disk or a broken download does. Sealed ones change what
blocks say and make the checksums right again, so that what lies behind the checksums is reached.
"""

import gzip
import io
import tarfile

from mmseg_deeplab_ext.checkpoints.storage.snappy import decompress
from tests.support.checkpoint_files import files_of
from tests.support.table_files import (
    all_entries,
    entries_of,
    handles_of,
    read_number,
    resealed,
    snappy,
    table,
    varint,
)

NUMBERS = [0, 1, 2, 3, 7, 127, 128, 255, 4096, 65535, 1 << 20, (1 << 31) - 1, 1 << 31, 1 << 32]
NUMBERS += [1 << 40, 1 << 48, 1 << 60, (1 << 62) - 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1]


def sources():
    """{name: checkpoint} that mutations start from."""
    result = {}
    for name in ("v2", "v2_sharded", "v1.ckpt", "v1_sharded", "objects"):
        result[name] = {path.name: path.read_bytes() for path in files_of(name)}
    for name in ("v2", "v1.ckpt"):
        compressed = {
            file: _rebuilt([all_entries(data)], compress=snappy) if _is_table(data) else data
            for file, data in result[name].items()
        }
        result[f"{name} compressed"] = compressed
    for name in ("v2", "v1.ckpt"):
        files = {f"zoo/{file}": data for file, data in result[name].items()}
        result[f"{name} archive"] = {"zoo.tar.gz": _archive(files)}
    state = b'model_checkpoint_path: "v2"\nall_model_checkpoint_paths: "v2"\n'
    result["v2 folder"] = {**result["v2"], "checkpoint": state}
    return result


def path_of(name):
    """The name to open of a checkpoint of ``sources``, in the folder that its files are in."""
    if name.endswith("archive"):
        return "zoo.tar.gz"
    return "." if name.endswith("folder") else name.split()[0]


def fixture_of(name):
    """The fixture that has the values of a checkpoint of ``sources``."""
    return name.split()[0]


def mutate_plain(random, files):
    """Change bytes of one file, or the file as a whole."""
    files = dict(files)
    name = random.choice(sorted(files))
    if random.randrange(40) == 0:
        del files[name]
        return files
    data = files[name]
    for _ in range(random.choice([1, 1, 1, 2, 5])):
        other = files[random.choice(sorted(files))]
        data = random.choice(BYTE_CHANGES)(random, data, other)
    files[name] = data
    return files


def mutate_sealed(random, files):
    """Change what a block says, and make its checksums right."""
    files = dict(files)
    name = random.choice([name for name in sorted(files) if _is_changeable(files[name])])
    data = files[name]
    if data[:2] == b"\x1f\x8b":
        plain = gzip.decompress(data)
        files[name] = gzip.compress(_change_tar(random, plain), 1)
    else:
        files[name] = random.choice(TABLE_CHANGES)(random, data)
    return files


def _is_table(data):
    return data[-8:] == bytes.fromhex("57fb808b247547db")


def _is_changeable(data):
    return _is_table(data) or data[:2] == b"\x1f\x8b"


def _archive(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def _span(random, data):
    start = random.randrange(len(data) + 1)
    return start, min(len(data), start + random.choice([1, 2, 4, 8, 50, 500]))


def _flip(random, data, other):
    if not data:
        return data
    changed = bytearray(data)
    changed[random.randrange(len(data))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _cut(random, data, other):
    return data[: random.randrange(len(data) + 1)]


def _insert(random, data, other):
    start = random.randrange(len(data) + 1)
    new = bytes(random.randrange(256) for _ in range(random.choice([1, 2, 4, 16])))
    return data[:start] + new + data[start:]


def _delete(random, data, other):
    start, end = _span(random, data)
    return data[:start] + data[end:]


def _splice(random, data, other):
    start, end = _span(random, data)
    first, last = _span(random, other)
    return data[:start] + other[first:last] + data[end:]


def _overwrite(random, data, other):
    start, end = _span(random, data)
    byte = bytes([random.choice([0x00, 0xFF, 0x80, 0x7F, random.randrange(256)])])
    return data[:start] + byte * (end - start) + data[end:]


def _append(random, data, other):
    first, last = _span(random, other)
    return data + other[first:last]


BYTE_CHANGES = [_flip, _flip, _cut, _insert, _delete, _splice, _overwrite, _append]


def _change_block(random, data):
    """Change bytes of a block, without moving anything."""
    handles = handles_of(data)
    offset, size = random.choice(handles)
    changed = bytearray(data)
    for _ in range(random.choice([1, 1, 2, 4])):
        at = random.randrange(offset, offset + size + 1)
        changed[at] = random.choice([0, 1, 0x7F, 0x80, 0xFF, random.randrange(256)])
    return resealed(changed, handles)


def _change_footer(random, data):
    start = len(data) - 48
    numbers = [random.choice([*NUMBERS, random.randrange(len(data))]) for _ in range(4)]
    return data[:start] + b"".join(map(varint, numbers))[:40].ljust(40, b"\0") + data[-8:]


def _change_entries(random, data):
    """Change, drop, double or move entries, and build the table anew."""
    entries = _entries(data)
    number = random.randrange(len(entries))
    key, value = entries[number]
    what = random.randrange(8)
    if what == 0:
        del entries[number]
    elif what == 1:
        entries.insert(random.randrange(len(entries) + 1), (key, value))
    elif what == 2:
        entries[number] = (random.choice(BYTE_CHANGES)(random, key, key), value)
    elif what == 3:
        entries[number] = (key, random.choice(entries)[1])
    else:
        entries[number] = (key, _change_message(random, value))
    if random.randrange(2):
        entries.sort()
    if len(entries) > 2 and random.randrange(2):
        middle = random.randrange(1, len(entries))
        return _rebuilt([entries[:middle], entries[middle:]])
    return _rebuilt([entries])


def _change_compressed(random, data):
    """Compress the blocks, and change what is compressed."""

    def compress(content):
        packed = snappy(content)
        return random.choice(BYTE_CHANGES)(random, packed, packed)

    return _rebuilt([_entries(data)], compress=compress)


def _entries(data):
    """Entries of a sound table, compressed or not."""
    result = []
    for offset, size in handles_of(data)[:-2]:
        content = data[offset : offset + size]
        if data[offset + size] == 1:
            content = decompress(content)
        result += entries_of(content)
    return result


def _rebuilt(blocks, compress=None):
    return table([block for block in blocks if block] or [[(b"", b"")]], compress=compress)


TABLE_CHANGES = [_change_block, _change_footer, _change_compressed]
TABLE_CHANGES += [_change_entries] * 4


def _change_message(random, data, depth=0):
    """Change one field of a message, perhaps of one inside it, with lengths that fit again."""
    fields = _fields(data)
    if not fields or random.randrange(6) == 0:
        return random.choice(BYTE_CHANGES)(random, data, data)
    number = random.randrange(len(fields))
    tag, value = fields[number]
    what = random.randrange(8)
    if what == 0:
        del fields[number]
    elif what == 1:
        fields.insert(random.randrange(len(fields) + 1), (tag, value))
    elif what == 2:
        fields[number] = (random.randrange(200), value)
    elif isinstance(value, int):
        fields[number] = (tag, random.choice([*NUMBERS, value + 1, value - 1, value * 2]))
    elif tag & 7 == 2:
        fields[number] = (tag, _change_message(random, value, depth + 1))
    else:
        fields[number] = (tag, random.choice([_flip, _overwrite])(random, value, value))
    return b"".join(map(_encoded, fields))


def _fields(data):
    """(tag, int or bytes) of what looks like a message; none if it does not."""
    fields, position = [], 0
    try:
        while position < len(data):
            tag, position = read_number(data, position)
            size = {1: 8, 5: 4}.get(tag & 7)
            if tag & 7 == 0:
                value, position = read_number(data, position)
            elif tag & 7 == 2 or size:
                if not size:
                    size, position = read_number(data, position)
                if position + size > len(data):
                    return []
                value = data[position : position + size]
                position += size
            else:
                return []
            fields.append((tag, value))
    except IndexError:
        return []
    return fields


def _encoded(field):
    tag, value = field
    if isinstance(value, int):
        return varint(tag) + varint(value)
    return varint(tag) + (varint(len(value)) if tag & 7 == 2 else b"") + value


def _change_tar(random, data):
    """Change the bytes of a tar archive, with the headers' checksums made right half the time."""
    changed = bytearray(random.choice(BYTE_CHANGES)(random, data, data))
    if random.randrange(2):
        for start in range(0, len(changed) - 511, 512):
            if changed[start + 257 : start + 262] == b"ustar":
                place = start + random.choice([0, 1, 124, 125, 130, 156, 345, 482, 500])
                changed[place] = random.choice([0, 0x2E, 0x2F, 0x31, 0x37, 0x4C, 0x53, 0x78, 0x80])
                changed[start + 148 : start + 156] = b" " * 8
                total = sum(changed[start : start + 512])
                changed[start + 148 : start + 156] = b"%06o\0 " % total
    return bytes(changed)
