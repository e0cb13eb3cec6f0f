"""The bytes of a package: a ZIP of stored entries that any tool opens, written and read by our own strict code.

There is one way to write given entries, and reading accepts that way alone: no compression, comments, extra fields, gaps,
folders or second copies of a name. So a changed byte is found wherever it lies, and there is no parser to play tricks on.
"""

import mmap
import os
import re
import secrets
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

from mill_pack.errors import InvalidPackage

Buffer = bytes | mmap.mmap
"""A whole package, read or mapped."""

MAX_BYTES = (1 << 31) - 1
MAX_ENTRIES = 15
_LOCAL = struct.Struct("<IHHHHHIIIHH")
_CENTRAL = struct.Struct("<IHHHHHHIIIHHHHHII")
_END = struct.Struct("<IHHHHIIH")
_NAME = re.compile(rb"[a-z0-9_]{1,48}(\.[a-z0-9_]{1,12}){1,3}")
_FIRST_DAY_OF_1980 = 0x21
_PLAIN_FILE = 0o100644 << 16


def archive_bytes(entries: Mapping[str, bytes]) -> bytes:
    """The one ZIP of these entries, in their order."""
    parts: list[bytes] = []
    directory: list[bytes] = []
    offset = 0
    for name, content in entries.items():
        encoded = name.encode("ascii")
        if not _NAME.fullmatch(encoded):
            raise InvalidPackage(f"The name {name!r} cannot stand in a package.")
        crc = zlib.crc32(content)
        head = _local_header(encoded, crc, len(content))
        directory.append(_central_header(encoded, crc, len(content), offset))
        parts += [head, content]
        offset += len(head) + len(content)
    central = b"".join(directory)
    if offset + len(central) + _END.size > MAX_BYTES or len(entries) > MAX_ENTRIES:
        raise InvalidPackage("The model is too large for one package (2 GiB).")
    return b"".join([*parts, central, _end(len(entries), len(central), offset)])


def content_offset(name: str) -> int:
    """How far behind the start of its local header an entry's content begins."""
    return _LOCAL.size + len(name)


def read_archive(data: Buffer, *, verify: bool = True) -> dict[str, memoryview]:
    """The entries in order, as views on `data`. `verify` checks the CRC of every entry; the first is always checked."""
    if not _END.size < len(data) <= MAX_BYTES:
        raise InvalidPackage("The file is empty, cut short or too large to be a package.")
    _, _, _, _, count, size, offset, _ = _END.unpack_from(data, len(data) - _END.size)
    if data[-_END.size :] != _end(count, size, offset) or offset + size + _END.size != len(data):
        raise InvalidPackage("The end of the file is not that of a package.")
    if not 1 <= count <= MAX_ENTRIES:
        raise InvalidPackage("The package has no entries or too many.")
    entries: dict[str, memoryview] = {}
    position, expected = offset, 0
    for _ in range(count):
        name, crc, length, position = _read_central(data, position, offset + size, expected)
        start = expected + _LOCAL.size + len(name)
        expected = start + length
        if expected > offset or data[start - _LOCAL.size - len(name) : start] != _local_header(name, crc, length):
            raise InvalidPackage("The headers of the package contradict each other.")
        content = memoryview(data)[start:expected]
        if (verify or not entries) and zlib.crc32(content) != crc:
            raise InvalidPackage(f"The entry {name.decode()!r} is damaged.")
        if name.decode() in entries:
            raise InvalidPackage("The package holds a name twice.")
        entries[name.decode()] = content
    if position != offset + size or expected != offset:
        raise InvalidPackage("The package holds bytes that belong to no entry.")
    return entries


def write_atomically(path: Path, data: bytes) -> None:
    """All or nothing, also across a power cut: a temporary file beside it, flushed, renamed, and the folder flushed."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read_central(data: Buffer, position: int, end: int, local_offset: int) -> tuple[bytes, int, int, int]:
    if position + _CENTRAL.size > end:
        raise InvalidPackage("The directory of the package is cut short.")
    fields = _CENTRAL.unpack_from(data, position)
    crc, length, name_length = fields[7], fields[8], fields[10]
    after = position + _CENTRAL.size + name_length
    name = data[position + _CENTRAL.size : after]
    if after > end or not _NAME.fullmatch(name):
        raise InvalidPackage("The package holds a name that is not allowed.")
    if data[position:after] != _central_header(name, crc, length, local_offset):
        raise InvalidPackage("The directory of the package is not as Modelmill writes it.")
    return name, crc, length, after


def _local_header(name: bytes, crc: int, size: int) -> bytes:
    return _LOCAL.pack(0x04034B50, 10, 0, 0, 0, _FIRST_DAY_OF_1980, crc, size, size, len(name), 0) + name


def _central_header(name: bytes, crc: int, size: int, offset: int) -> bytes:
    made_by_unix = 3 << 8 | 10
    return (
        _CENTRAL.pack(
            0x02014B50,
            made_by_unix,
            10,
            0,
            0,
            0,
            _FIRST_DAY_OF_1980,
            crc,
            size,
            size,
            len(name),
            0,
            0,
            0,
            0,
            _PLAIN_FILE,
            offset,
        )
        + name
    )


def _end(count: int, size: int, offset: int) -> bytes:
    return _END.pack(0x06054B50, 0, 0, count, count, size, offset, 0)
